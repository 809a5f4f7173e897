//! What the gateway tells, over connection after connection.

use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::super::admin::{Caller, Messages, Place, Refused, pause};
use super::News;

const WATCH: &str = "/v1/watch";

/// The pause before another try: at first, and at most.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Passes on what is told until nobody takes it any more, and that nothing is told where that is so. Whoever takes it too slowly holds
/// it up: then the gateway leaves out what it has to say, and later says how everything stands.
pub(super) fn follow(place: &Place, first: Messages, news: &SyncSender<News>) {
    let mut messages = Ok(first);
    let mut before_next = FIRST;
    loop {
        let why = match messages {
            Ok(mut messages) => loop {
                match messages.next() {
                    Ok((kind, told)) => {
                        before_next = FIRST;
                        if news.send(News::Told(kind, told)).is_err() {
                            return;
                        }
                    }
                    Err(error) => break format!("{error:#}"),
                }
            },
            Err(why) => why,
        };
        if news.send(News::Lost(why)).is_err() {
            return;
        }
        pause(before_next);
        before_next = (before_next * 2).min(LONGEST);
        messages = again(place);
    }
}

/// Each time from the start: the host may have moved, and another gateway has another token.
fn again(place: &Place) -> Result<Messages, String> {
    let caller = place.caller(false).map_err(|error| format!("{error:#}"))?;
    listen(&caller).map_err(Refused::words)
}

/// Whatever else answers there is told from a gateway by what it says first: how everything stands.
pub(super) fn listen(caller: &Caller) -> Result<Messages, Refused> {
    caller.listen(WATCH, |kind, told| kind == "whole" && told["gateway"].is_object())
}
