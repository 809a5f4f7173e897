//! Looks, and tells those who look on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;

use super::super::Desk;
use super::Board;
use crate::config::AdminToken;

/// The pause between two looks: the longest, the shortest, and how much longer than a look has taken. So however much there is to be
/// looked at, it costs no more than a hundredth of one core.
const LONGEST: Duration = Duration::from_secs(2);
const SHORTEST: Duration = Duration::from_millis(200);
const SHARE: u32 = 100;
/// So often something is told, if only the time: who hears nothing for longer has lost the connection.
const BEAT: Duration = Duration::from_secs(2);

/// Looks for as long as somebody looks on.
pub(in crate::admin) async fn keep(desk: &Desk) {
    let mut board = Board::default();
    let mut told = Instant::now();
    let mut token = desk.token();
    loop {
        if !desk.viewers.are_there() {
            desk.viewers.another().await;
        }
        let begun = Instant::now();
        let now = desk.token();
        if std::mem::replace(&mut token, now.clone()).as_ref().map(AdminToken::as_str)
            != now.as_ref().map(AdminToken::as_str)
        {
            // They looked on by the word of before.
            desk.viewers.dismiss();
            continue;
        }
        let next = Board::look(desk, &board);
        let mut change = next.since(&board, desk);
        next.without(&board, &mut change);
        let is_due = !change.is_nothing() || told.elapsed() >= BEAT;
        let message = is_due.then(|| message("change", &change));
        if is_due {
            told = begun;
        }
        desk.viewers.tell(message.as_ref(), || self::message("whole", &next.whole(desk)));
        drop(change);
        board = next;
        let pause = (begun.elapsed() * SHARE).clamp(SHORTEST, LONGEST);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = desk.viewers.another() => {}
        }
    }
}

fn message(kind: &str, told: &impl Serialize) -> Bytes {
    // Who is cut off comes back soon.
    let mut message = format!("retry: 500\nevent: {kind}\ndata: ").into_bytes();
    // Shapes of texts and numbers, without a line's end: there is nothing that could not be written.
    let _ = serde_json::to_writer(&mut message, told);
    message.extend_from_slice(b"\n\n");
    message.into()
}
