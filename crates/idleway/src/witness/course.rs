//! What a backend had at work, from moment to moment.

use std::sync::Arc;
use std::time::Duration;

use idleway::generic_backend::Work;
use tokio::time::{self, Instant};

use super::LOOK;

/// Changes that are kept of one backend.
const KEPT: usize = 20_000;

/// One backend, and how its work went.
#[derive(Debug)]
pub(super) struct Course {
    url: String,
    work: Arc<Work>,
    began: Instant,
    /// Since when, and how many requests were at work then; only the changes.
    changes: Vec<(Duration, u32)>,
}

impl Course {
    pub(super) fn of(url: String, work: Arc<Work>) -> Self {
        Course { url, work, began: Instant::now(), changes: Vec::new() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    /// Each change of what was at work, with the time since the first look.
    pub(super) fn changes(&self) -> &[(Duration, u32)] {
        &self.changes
    }

    fn look(&mut self) {
        if self.changes.is_empty() {
            self.began = Instant::now();
        }
        let now = self.work.now();
        let last = self.changes.last().map(|&(_, now)| now);
        if last != Some(now) && self.changes.len() < KEPT {
            self.changes.push((self.began.elapsed(), now));
        }
    }
}

/// Looks at all of them, again and again; never ends. A change that is over between two looks is missed here, but not by
/// the backend's own count.
pub(super) async fn follow(courses: &mut [Course]) {
    let mut looks = time::interval(LOOK);
    loop {
        looks.tick().await;
        for course in &mut *courses {
            course.look();
        }
    }
}
