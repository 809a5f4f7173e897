//! The terminal: taken, read, and given back as it was.

use std::io;
use std::sync::mpsc::SyncSender;
use std::thread;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::super::Failure;
use super::News;

/// The whole screen. It is as it was before when this is dropped, and when the program panics.
#[derive(Debug)]
pub(super) struct Screen(pub(super) DefaultTerminal);

impl Screen {
    /// # Errors
    /// The terminal cannot be told.
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }
}

impl Screen {
    /// Gives the terminal to the shell, and takes it again when that says so.
    ///
    /// # Errors
    /// It cannot be taken again.
    pub(super) fn suspend(self) -> io::Result<Self> {
        drop(self);
        #[cfg(unix)]
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        Self::take()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may be gone; then there is nothing to be restored.
        let _ = ratatui::try_restore();
    }
}

/// Passes on what is typed, and that the size has changed.
pub(super) fn keys(news: &SyncSender<News>) {
    loop {
        let told = match event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => News::Key(key),
            Ok(Event::Resize(..)) => News::Resized,
            Ok(_) => continue,
            // Nobody can type, and so nobody could quit.
            Err(error) => {
                let error = anyhow::Error::from(error).context("no keys can be read; --plain needs none");
                News::End(Err(Failure::Failed(error)))
            }
        };
        let is_last = matches!(told, News::End(_));
        if news.send(told).is_err() || is_last {
            return;
        }
    }
}

/// Ends the program in order at a signal that would else end it with the terminal as it is.
///
/// # Errors
/// Signals cannot be caught.
#[cfg(unix)]
pub(super) fn catch_signals(news: SyncSender<News>) -> io::Result<()> {
    use std::time::Duration;

    use ratatui::crossterm::terminal::disable_raw_mode;
    use tokio::signal::unix::{SignalKind, signal};

    /// So long a terminal may take to be written to; one that is stopped takes nothing at all.
    const PATIENCE: Duration = Duration::from_secs(1);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
    let [mut hangup, mut interrupt, mut quit, mut terminate] = {
        let [hangup, interrupt, quit, terminate] = kinds.map(signal);
        [hangup?, interrupt?, quit?, terminate?]
    };
    drop(entered);
    thread::spawn(move || {
        runtime.block_on(async {
            let number = tokio::select! {
                _ = hangup.recv() => 1,
                _ = interrupt.recv() => 2,
                _ = quit.recv() => 3,
                _ = terminate.recv() => 15,
            };
            // As shells have it.
            let code = 128 + number;
            let _ = news.try_send(News::End(Err(Failure::Found(code))));
            tokio::time::sleep(PATIENCE).await;
            let _ = disable_raw_mode();
            std::process::exit(code.into());
        });
    });
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn catch_signals(_: SyncSender<News>) -> io::Result<()> {
    Ok(())
}
