//! `idleway top`: how a gateway stands, live, on a terminal.
//!
//! One thread listens to the gateway, one to the keys; here the picture is kept and drawn. What comes is taken in at once and drawn
//! now and then, so that a slow connection shows less of it, but never what is over.

mod backend;
mod errand;
mod keys;
mod paint;
mod picture;
mod plain;
mod pool;
mod screen;
mod stream;
mod terminal;
mod verdict;
mod view;
mod words;

use std::io::{self, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use ratatui::crossterm::event::KeyEvent;
use serde_json::Value;

use self::errand::{Errand, Errands, Outcome};
use self::keys::Act;
use self::paint::Paint;
use self::picture::{Picture, clean};
use self::screen::Scene;
use self::terminal::Screen;
use self::view::View;
use super::admin::{Messages, Place, complain_of};
use super::{Failure, complain, duration};
use crate::colour;

/// So much may be on its way to be taken in.
const ON_ITS_WAY: usize = 256;
/// The shortest time between two drawings of what the gateway tells, and of what somebody types: who types waits for it.
const DRAWN: Duration = Duration::from_millis(250);
const TYPED: Duration = Duration::from_millis(40);
/// Ages are shown to the second.
const TICK: Duration = Duration::from_secs(1);
/// How often it is told in lines.
const LINES: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway top                                     the gateway on this machine; ? shows the keys
  idleway top --admin http://10.0.0.1:5001 --token-file token
                                                  another machine's
  ssh -t gateway idleway top --every 2s           over a connection that is slow
  idleway top --once                              in lines, once; also where there is no terminal
  idleway top --plain --every 1m >> load.log      in lines, every minute

Each slot is one sign: busy, lingering (nobody waits for it any more), resting, idle; closed and down are idle ones that get
nothing. What is wrong comes first. d, r and m drain a backend, bring it back, and set it to maintenance.

Ends with 0 when it is told to, with 69 where at first no gateway answers, or something that is no admin API, with 77 where the
token is missing or wrong. A connection that is lost later is tried again. Colours follow NO_COLOR; without UTF-8 in the locale
the signs are ASCII.")]
pub(super) struct TopArgs {
    #[command(flatten)]
    place: Place,
    /// How often it is drawn at most, or told in lines [default: 250ms, in lines 5s].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    every: Option<Duration>,
    /// In lines, as it is where the output is no terminal.
    #[arg(long)]
    plain: bool,
    /// In lines, once.
    #[arg(long)]
    once: bool,
}

/// What comes in from the threads.
#[derive(Debug)]
enum News {
    /// The gateway has told something: its kind, and what.
    Told(String, Value),
    /// It tells nothing any more: why.
    Lost(String),
    Key(KeyEvent),
    Resized,
    /// What came of the order with this number.
    Ordered(u64, Outcome),
    /// The program is to end, and how.
    End(Result<(), Failure>),
}

/// How it goes on.
#[derive(Debug)]
enum Next {
    Look,
    /// The shell has the terminal for a while.
    Suspend,
    End(Result<(), Failure>),
}

pub(super) fn top(args: &TopArgs) -> Result<(), Failure> {
    let messages = stream::listen(&args.place.caller(false)?).map_err(|refused| {
        let code = refused.exit_code();
        complain_of(&refused.problem());
        Failure::Found(code)
    })?;
    let (sender, news) = sync_channel(ON_ITS_WAY);
    let follow = |sender: SyncSender<News>, messages: Messages| {
        let place = args.place.clone();
        aside(sender, move |news| stream::follow(&place, messages, news));
    };
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    if args.plain || args.once || is_dumb || !io::stdout().is_terminal() {
        follow(sender, messages);
        return plain::show(&news, args.every.unwrap_or(LINES).max(DRAWN), args.once);
    }
    terminal::catch_signals(sender.clone()).context("cannot catch signals")?;
    let screen = Screen::take().context("cannot take the terminal; --plain needs none")?;
    aside(sender.clone(), terminal::keys);
    follow(sender.clone(), messages);
    let mut looking = Looking::new(args, sender);
    let how = looking.look(screen, &news);
    // The terminal is as it was: what is said now stays there to be read.
    looking.last_words(&news).for_each(|line| complain(&line));
    how
}

/// Does this in a thread of its own. Should it panic, the terminal is given back already, and there is no use in going on.
fn aside(news: SyncSender<News>, work: impl FnOnce(&SyncSender<News>) + Send + 'static) {
    thread::spawn(move || {
        if catch_unwind(AssertUnwindSafe(|| work(&news))).is_err() {
            let _ = news.send(News::End(Err(Failure::Found(1))));
        }
    });
}

/// Somebody looks at a gateway.
#[derive(Debug)]
struct Looking {
    place: Place,
    every: Duration,
    paint: Paint,
    news: SyncSender<News>,
    /// As it is now.
    live: Picture,
    /// As it was when it was held still, and when that was.
    still: Option<(Picture, Instant)>,
    lost: Option<String>,
    view: View,
    errands: Errands,
    /// What is on the screen is not what there is to see: nothing, something the gateway told, something that was typed.
    is_due: Option<Duration>,
    anew: bool,
}

impl Looking {
    fn new(args: &TopArgs, news: SyncSender<News>) -> Self {
        let every = args.every.unwrap_or(DRAWN).max(DRAWN);
        Self {
            place: args.place.clone(),
            every,
            paint: Paint::new(colour::on(&io::stdout()), paint::is_unicode()),
            news,
            live: Picture::new(Instant::now()),
            still: None,
            lost: None,
            view: View::default(),
            errands: Errands::default(),
            is_due: Some(every),
            anew: false,
        }
    }

    /// Until it is told to end.
    fn look(&mut self, mut screen: Screen, news: &Receiver<News>) -> Result<(), Failure> {
        let mut drawn: Option<Instant> = None;
        loop {
            let now = Instant::now();
            self.complain_of_silence(now);
            let since = drawn.map(|drawn| now.saturating_duration_since(drawn));
            let pause = self.is_due.unwrap_or_else(|| TICK.max(self.every));
            if since.is_none_or(|since| since >= pause) {
                if self.is_due.is_some() || self.ages(now) {
                    self.draw(&mut screen, now).context("the terminal is gone")?;
                    self.is_due = None;
                }
                drawn = Some(now);
            }
            let pause = self.is_due.unwrap_or_else(|| TICK.max(self.every));
            let until = drawn.map_or(now, |drawn| drawn + pause);
            let until = self.errands.until().map_or(until, |limit| until.min(limit));
            let first = match news.recv_timeout(until.saturating_duration_since(now)) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            // All that is there, but not for ever: the screen is to be drawn too.
            for told in std::iter::once(first).chain(news.try_iter().take(ON_ITS_WAY)) {
                match self.take(told) {
                    Next::Look => {}
                    Next::Suspend => screen = screen.suspend().context("cannot take the terminal again")?,
                    Next::End(how) => return how,
                }
            }
        }
    }

    /// Takes in what has come.
    fn take(&mut self, told: News) -> Next {
        let now = Instant::now();
        match told {
            News::Told(kind, told) => {
                self.live.apply(&kind, &told, now);
                let was_lost = self.lost.take().is_some();
                if self.still.is_none() || was_lost {
                    self.due(self.every);
                }
            }
            News::Lost(why) => {
                if self.lost.replace(clean(&why)).is_none() {
                    self.live.stop(now);
                }
                self.due(self.every);
            }
            News::Resized => self.due(TYPED),
            News::Ordered(number, outcome) => {
                if let Some(who) = self.errands.end(number, &outcome) {
                    self.say(who, outcome, now);
                }
            }
            News::End(how) => return Next::End(how),
            News::Key(key) => {
                let seen = self.still.as_ref().map_or(&self.live, |(still, _)| still);
                match self.view.key(key, seen, now) {
                    Act::Look => {}
                    Act::Quit => return Next::End(Ok(())),
                    Act::Suspend => {
                        self.due(TYPED);
                        return Next::Suspend;
                    }
                    Act::Anew => self.anew = true,
                    Act::Pause => self.hold(now),
                    Act::Order(errand) => self.send(errand, now),
                }
                self.due(TYPED);
            }
        }
        Next::Look
    }

    /// It is to be drawn so soon after it was drawn last.
    fn due(&mut self, pause: Duration) {
        self.is_due = Some(self.is_due.map_or(pause, |due| due.min(pause)));
    }

    fn hold(&mut self, now: Instant) {
        self.still = match self.still.take() {
            Some(_) => None,
            None => {
                let mut still = self.live.clone();
                still.stop(now);
                Some((still, now))
            }
        };
    }

    /// Whether what is on the screen grows older by itself.
    fn ages(&mut self, now: Instant) -> bool {
        let picture = self.still.as_ref().map_or(&self.live, |(still, _)| still);
        self.view.forget(now) || self.lost.is_some() || self.still.is_some() || picture.ages()
    }

    fn draw(&mut self, screen: &mut Screen, now: Instant) -> io::Result<()> {
        if std::mem::take(&mut self.anew) {
            screen.0.clear()?;
        }
        let scene = Scene {
            picture: self.still.as_ref().map_or(&self.live, |(still, _)| still),
            lost: self.lost.as_deref(),
            heard: self.live.heard,
            paused: self.still.as_ref().map(|(_, since)| *since),
            now,
            paint: self.paint,
        };
        screen.0.draw(|frame| scene.draw(frame, &mut self.view)).map(|_| ())
    }

    /// Orders it, in a thread of its own: a gateway may take its time to answer.
    fn send(&mut self, errand: Errand, now: Instant) {
        if self.errands.are_under_way() {
            let words = "the order before this one is still on its way";
            self.view.tell(String::new(), words.to_owned(), true, now);
            return;
        }
        self.view.tell(errand.who(), ": it is told so".to_owned(), false, now);
        let (number, leave) = self.errands.begin(errand.clone(), now);
        let place = self.place.clone();
        aside(self.news.clone(), move |news| {
            let _ = news.send(News::Ordered(number, errand.carry_out(&place, &leave)));
        });
    }

    /// Says of an order to which no answer has come that this is so.
    fn complain_of_silence(&mut self, now: Instant) {
        while let Some((who, outcome)) = self.errands.overdue(now) {
            self.say(who, outcome, now);
        }
    }

    fn say(&mut self, who: String, outcome: Outcome, now: Instant) {
        let (words, is_bad) = outcome.words();
        self.view.tell(who, clean(&words), is_bad, now);
        self.due(TYPED);
    }

    /// What has to be said of orders whose answers nobody waits for any more.
    fn last_words(mut self, news: &Receiver<News>) -> impl Iterator<Item = String> {
        for told in news.try_iter().take(ON_ITS_WAY) {
            if let News::Ordered(number, outcome) = told {
                self.errands.end(number, &outcome);
            }
        }
        self.errands.left()
    }
}
