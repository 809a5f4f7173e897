//! Standard input, where its end means something.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Resolves when standard input ends: whoever held its other side is gone, however it went.
pub(crate) async fn end_of_stdin() {
    let (ended, end) = oneshot::channel();
    // A thread of its own: a blocking read cannot be taken back, and must not keep the runtime from ending.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}
