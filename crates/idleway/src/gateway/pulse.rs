//! Whether each core answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::net::CoreHandle;

/// How long a core may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the cores. One that does not answer is not asked again before it has: however often this is asked, nothing piles up
/// there.
#[derive(Debug)]
pub(super) struct Pulse {
    cores: Vec<Arc<CoreHandle>>,
    /// What each core was asked last, and whether it has answered.
    asked: Mutex<Vec<Option<watch::Receiver<bool>>>>,
}

impl Pulse {
    pub(super) fn new(cores: Vec<Arc<CoreHandle>>) -> Self {
        let asked = Mutex::new(vec![None; cores.len()]);
        Self { cores, asked }
    }

    /// The cores that do not answer within a second, by their numbers.
    pub(super) async fn silent(&self) -> Vec<u16> {
        let end = Instant::now() + PATIENCE;
        let answers: Vec<_> = (0..self.cores.len()).map(|nth| self.ask(nth)).collect();
        let mut silent = Vec::new();
        for (core, mut answer) in self.cores.iter().zip(answers) {
            // Of one that has ended the other side is dropped.
            let has_answered = timeout_at(end, answer.wait_for(|answered| *answered)).await;
            if !matches!(has_answered, Ok(Ok(_))) {
                silent.push(core.index().0);
            }
        }
        silent
    }

    fn ask(&self, nth: usize) -> watch::Receiver<bool> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &asked[nth]
            && !*before.borrow()
            && before.has_changed().is_ok()
        {
            return before.clone();
        }
        let (answer, answered) = watch::channel(false);
        self.cores[nth].runtime().spawn(async move { answer.send_replace(true) });
        asked[nth] = Some(answered.clone());
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Cores;

    #[test]
    fn a_core_that_stands_still_is_named_and_asked_once() {
        let cores = Cores::start(2).unwrap();
        let pulse = Pulse::new(cores.all().to_vec());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(pulse.silent()), Vec::<u16>::new());
        let (go_on, wait) = std::sync::mpsc::sync_channel::<()>(1);
        let (stands, is_standing) = std::sync::mpsc::sync_channel(1);
        cores.all()[1].runtime().spawn(async move {
            stands.send(()).unwrap();
            wait.recv()
        });
        is_standing.recv().unwrap();
        assert_eq!(runtime.block_on(pulse.silent()), [1]);
        let first = pulse.asked.lock().unwrap()[1].clone().unwrap();
        assert_eq!(runtime.block_on(pulse.silent()), [1]);
        let second = pulse.asked.lock().unwrap()[1].clone().unwrap();
        assert!(first.same_channel(&second));
        drop(go_on);
        runtime.block_on(async { pulse.ask(1).wait_for(|answered| *answered).await.map(drop) }).unwrap();
        assert_eq!(runtime.block_on(pulse.silent()), Vec::<u16>::new());
        cores.stop();
        assert_eq!(runtime.block_on(pulse.silent()), [0, 1], "those that have ended answer nothing");
    }
}
