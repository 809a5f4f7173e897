//! Those who look on, each at the other end of a stream of messages (Server-Sent Events, the HTML standard, section 9.2).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderValue;
use hyper::body::{Body, Frame};
use tokio::sync::{Notify, mpsc};

use super::super::leash::Leash;

/// At once, over all connections.
const MOST: usize = 32;
/// Messages on their way to one of them. One that takes them too slowly misses some, and then is told everything anew.
const WAITING: usize = 8;
/// Who takes nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// All of them.
#[derive(Debug, Default)]
pub(in crate::admin) struct Viewers {
    all: Mutex<Vec<Viewer>>,
    has_come: Notify,
}

#[derive(Debug)]
struct Viewer {
    messages: mpsc::Sender<Bytes>,
    /// It has to be told everything.
    is_behind: bool,
    /// When it took a message last.
    took: Instant,
    /// By which it may, where it sent one.
    cookie: Option<HeaderValue>,
    leash: Arc<Leash>,
}

/// The body of the answer to a viewer: what is told, for as long as it looks on.
#[derive(Debug)]
pub(in crate::admin) struct Watching(mpsc::Receiver<Bytes>);

impl Viewers {
    /// Another one; none where there are too many.
    pub(in crate::admin) fn admit(
        &self,
        leash: &Arc<Leash>,
        cookie: Option<HeaderValue>,
    ) -> Option<Watching> {
        let mut all = self.all();
        all.retain(|viewer| !viewer.messages.is_closed());
        if all.len() >= MOST {
            return None;
        }
        let (messages, told) = mpsc::channel(WAITING);
        leash.watch();
        all.push(Viewer {
            messages,
            is_behind: true,
            took: Instant::now(),
            cookie,
            leash: Arc::clone(leash),
        });
        self.has_come.notify_one();
        Some(Watching(told))
    }

    /// Tells each of them what has changed, or everything, where it has to be.
    pub(super) fn tell(&self, change: Option<&Bytes>, whole: impl Fn() -> Bytes) {
        let mut everything = None;
        self.all().retain_mut(|viewer| {
            let message = if viewer.is_behind {
                Some(everything.get_or_insert_with(&whole).clone())
            } else {
                change.cloned()
            };
            let Some(message) = message else { return !viewer.messages.is_closed() };
            match viewer.messages.try_send(message) {
                Ok(()) => {
                    viewer.is_behind = false;
                    // Taken is what has left the channel.
                    if viewer.messages.capacity() + 1 == WAITING {
                        viewer.took = Instant::now();
                    }
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    viewer.is_behind = true;
                    let has_gone = viewer.took.elapsed() >= PATIENCE;
                    if has_gone {
                        viewer.leash.cut();
                    }
                    !has_gone
                }
            }
        });
    }

    /// Nobody looks on any more: who may is asked anew.
    pub(in crate::admin) fn dismiss(&self) {
        self.all().drain(..).for_each(|viewer| viewer.leash.cut());
    }

    /// Whoever looks on by this cookie does no more: who signs out, signs out all its tabs.
    pub(in crate::admin) fn dismiss_by(&self, cookie: &HeaderValue) {
        let is_it = |viewer: &mut Viewer| viewer.cookie.as_ref() == Some(cookie);
        self.all().extract_if(.., is_it).for_each(|viewer| viewer.leash.cut());
    }

    /// Whether anybody looks on.
    pub(super) fn are_there(&self) -> bool {
        self.all().iter().any(|viewer| !viewer.messages.is_closed())
    }

    /// Resolves when another one has come.
    pub(super) async fn another(&self) {
        self.has_come.notified().await;
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Viewer>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Watching {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|message| message.map(|message| Ok(Frame::data(message))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(watching: &mut Watching) -> Vec<Bytes> {
        std::iter::from_fn(|| watching.0.try_recv().ok()).collect()
    }

    #[test]
    fn who_comes_is_told_everything_and_then_what_changes() {
        let viewers = Viewers::default();
        let mut one = viewers.admit(&Arc::default(), None).unwrap();
        let (change, whole) = (Bytes::from("change"), || Bytes::from("whole"));
        viewers.tell(Some(&change), whole);
        let mut other = viewers.admit(&Arc::default(), None).unwrap();
        viewers.tell(Some(&change), whole);
        viewers.tell(None, whole);
        assert_eq!(taken(&mut one), ["whole", "change"]);
        assert_eq!(taken(&mut other), ["whole"]);
        drop(one);
        viewers.tell(None, whole);
        assert!(viewers.are_there());
        drop(other);
        assert!(!viewers.are_there());
    }

    #[test]
    fn who_is_too_slow_misses_changes_and_is_told_everything() {
        let viewers = Viewers::default();
        let mut slow = viewers.admit(&Arc::default(), None).unwrap();
        let (change, whole) = (Bytes::from("change"), || Bytes::from("whole"));
        (0..100).for_each(|_| viewers.tell(Some(&change), whole));
        assert_eq!(taken(&mut slow).len(), WAITING);
        viewers.tell(Some(&change), whole);
        viewers.tell(Some(&change), whole);
        assert_eq!(taken(&mut slow), ["whole", "change"]);
    }

    #[test]
    fn who_signs_out_looks_on_no_more() {
        let viewers = Viewers::default();
        let [ours, theirs] = ["one", "other"].map(HeaderValue::from_static);
        let mut all = [Some(ours.clone()), Some(theirs), None, Some(ours.clone())]
            .map(|cookie| viewers.admit(&Arc::default(), cookie).unwrap());
        viewers.dismiss_by(&ours);
        viewers.tell(None, || Bytes::from("whole"));
        assert_eq!(all.each_mut().map(|one| taken(one).len()), [0, 1, 1, 0]);
        viewers.dismiss();
        assert!(!viewers.are_there());
    }

    #[test]
    fn there_are_not_too_many() {
        let viewers = Viewers::default();
        let all: Vec<_> = (0..MOST).map(|_| viewers.admit(&Arc::default(), None).unwrap()).collect();
        assert!(viewers.admit(&Arc::default(), None).is_none());
        drop(all);
        assert!(viewers.admit(&Arc::default(), None).is_some());
    }
}
