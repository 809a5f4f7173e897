use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::{Value, json};

use super::super::errand::Errand;
use super::super::view::Order;
use super::*;

fn told() -> Value {
    let work = |state: &str, since: f64| {
        json!({
            "state": state, "since_unix_seconds": since, "method": "POST", "route": "/process", "client": "10.0.0.7", "id": "abc",
        })
    };
    let slots = |idle: u64, busy: u64, lingering: u64, resting: u64| {
        json!({
            "all": idle + busy + lingering + resting, "idle": idle, "busy": busy, "lingering": lingering, "resting": resting,
        })
    };
    json!({
        "now_unix_seconds": 1000.0,
        "gateway": { "version": "1.2.3", "address": "10.0.0.1:5000", "started_unix_seconds": 400.0 },
        "pools": { "workers": {
            "slots": slots(62, 3, 1, 1),
            "queue": { "length": 100, "waiting": 3, "longest_wait_seconds": 4.0 },
            "estimate": { "wait_seconds": 2.5 },
        } },
        "backends": { "workers": {
            "1": { "name": "10.0.0.2:6000", "health": "up", "slots": slots(1, 2, 1, 1),
                "work": [work("busy", 997.9), work("lingering", 998.0), work("busy", 999.0)] },
            "2": { "name": "10.0.0.3:6000", "health": "down", "cause": "unreachable", "fault": "refused", "slots": slots(1, 0, 0, 0) },
            "3": { "name": "10.0.0.4:6000", "health": "up", "mode": "drain", "slots": slots(0, 1, 0, 0), "work": [work("busy", 957.0)] },
            "4": { "name": "10.0.0.5:6000", "health": "up", "slots": slots(60, 0, 0, 0) },
        } },
        "points": { "workers": [[990.0, 21, 0, 0, 0.5, 1.5, 2.5, 5, 3], [995.0, 42, 1, 0, 0.5, 1.5, 2.5, 5, 3]] },
        "events": [{ "at_unix_seconds": 880.0, "kind": "backend_down", "pool": "workers", "backend": "10.0.0.3:6000",
            "cause": "unreachable", "fault": "refused" }],
    })
}

/// What a terminal of this size shows.
fn shown(width: u16, height: u16, view: &mut View, change: impl Fn(&mut Scene<'_>)) -> Vec<String> {
    let now = Instant::now();
    let mut picture = Picture::new(now);
    picture.apply("whole", &told(), now);
    let paint = Paint::new(false, true);
    let mut scene = Scene { picture: &picture, lost: None, heard: now, paused: None, now, paint };
    change(&mut scene);
    drawn(width, height, view, &scene).iter().map(|line| line.trim_end().to_owned()).collect()
}

fn drawn(width: u16, height: u16, view: &mut View, scene: &Scene<'_>) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| scene.draw(frame, view)).unwrap();
    let symbols: Vec<_> =
        terminal.backend().buffer().content().iter().map(ratatui::buffer::Cell::symbol).collect();
    symbols.chunks(width.into()).map(<[&str]>::concat).collect()
}

#[test]
fn everything_is_there_at_a_glance() {
    let lines = shown(120, 18, &mut View::default(), |_| {});
    let expected = [
        "1 backend down, 1 refused within 15 s, 3 wait, the oldest for 4.0 s; 2 of 4 backends up, 5 of 67 slots busy, 1 drained",
        "by problems  10.0.0.1:5000  up for 10 min  version 1.2.3",
        "",
        "workers   5 of 67 slots taken   1 down   line 3 of 100   the oldest waits for 4.0 s   a newcomer waits 2.5 s",
        "  6.3 requests/s  0.1 refused/s  0 failed/s   answered after p50 500 ms  p95 1.5 s  p99 2.5 s   ▄█",
        "▸ 10.0.0.3:6000  down      ×      unreachable: refused",
        "  10.0.0.4:6000  draining  ■      POST /process 10.0.0.7 43 s",
        "  10.0.0.2:6000  up        ■■◪z□  POST /process 10.0.0.7 2.1 s",
        "  10.0.0.5:6000  up        60□",
        "",
        "",
        "",
        "",
        "",
        &"─".repeat(120),
        " 2 min ago  workers/10.0.0.3:6000 is down: unreachable, refused",
        "■ busy  ◪ lingering  z resting  ? unproven  » elsewhere  □ idle  – closed  × down",
        "q quit  ? help  s order  d drain  / filter  Enter work  r ready  m maintenance  p hold still",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_small_terminal_shows_what_matters_most() {
    let lines = shown(40, 10, &mut View::default(), |_| {});
    let expected = [
        "1 backend down, 1 refused within 15 s, 3",
        "wait, the oldest for 4.0 s; 2 of 4",
        "by problems  10.0.0.1:5000  up for 10 mi",
        "workers   5/67 slots   1 down   line 3/1",
        "  6.3/s  0.1 refused  0 failed   p50 500",
        "▸ 10.0.0.3:6000  down      ×      unreac",
        "  10.0.0.4:6000  draining  ■      POST /",
        "  10.0.0.2:6000  up        ■■◪z□  POST /",
        "  10.0.0.5:6000  up        60□",
        "q quit  ? help  s order  d drain",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn no_size_is_too_small_for_any_of_it() {
    let errand = Errand { pool: "a".to_owned(), backend: "b".to_owned(), mode: "drain" };
    let dialogs = [Dialog::None, Dialog::Filter, Dialog::Sure(errand), Dialog::Work(9), Dialog::Help];
    for dialog in dialogs {
        for (width, height) in
            (1..=9).chain([40, 80, 200]).flat_map(|width| [(width, 1), (width, width), (120, width)])
        {
            let selected = Some(("workers".to_owned(), 4));
            let mut view = View { dialog: dialog.clone(), selected, first: 1000, ..View::default() };
            shown(width, height, &mut view, |scene| scene.lost = Some("reset"));
        }
    }
}

#[test]
fn what_is_no_longer_known_is_marked() {
    let lines = shown(100, 12, &mut View::default(), |scene| {
        scene.lost = Some("connection refused");
        scene.now = scene.heard + Duration::from_millis(3400);
    });
    assert!(lines[0].starts_with("last heard: 1 backend down"), "{lines:?}");
    assert_eq!(lines[2], " no connection for 3 s, trying again: connection refused");
    assert!(lines.iter().any(|line| line.contains("10.0.0.4:6000")), "{lines:?}");
    let lines = shown(100, 12, &mut View::default(), |scene| scene.paused = Some(scene.now));
    assert_eq!(lines[2], " held still 0 s ago; p goes on");
}

#[test]
fn the_selected_backend_is_always_seen() {
    let mut view = View { order: Order::Name, ..View::default() };
    for (key, first) in [(4, 3), (3, 3), (2, 3), (1, 0), (4, 3)] {
        view.selected = Some(("workers".to_owned(), key));
        let lines = shown(100, 6, &mut view, |_| {});
        assert!(lines.iter().any(|line| line.starts_with('▸')), "{key}: {lines:?}");
        assert_eq!(view.first, first, "{key}: {lines:?}");
    }
}

#[test]
fn what_is_asked_stands_where_the_keys_are() {
    let last = |view: &mut View| shown(100, 20, view, |_| {}).pop().unwrap_or_default();
    let errand = Errand { pool: "a".to_owned(), backend: "b".to_owned(), mode: "drain" };
    assert_eq!(
        last(&mut View { dialog: Dialog::Sure(errand), ..View::default() }),
        " Drain a/b?  y yes  n no"
    );
    let mut view = View { filter: "nowhere".to_owned(), dialog: Dialog::Filter, ..View::default() };
    assert_eq!(last(&mut view), "filter: nowhere   Enter keeps it, Esc clears it");
    assert_eq!(shown(100, 20, &mut view, |_| {})[4], "nothing contains \"nowhere\"; Esc shows all");
    let mut view = View::default();
    view.tell("a/b".to_owned(), " is done".to_owned(), false, Instant::now());
    assert_eq!(last(&mut view), "a/b is done");
}

#[test]
fn all_work_of_a_backend_is_shown_the_oldest_first() {
    let selected = Some(("workers".to_owned(), 1));
    let mut view = View { dialog: Dialog::Work(7), selected, ..View::default() };
    let lines = shown(100, 20, &mut view, |_| {});
    let expected = [
        "workers/10.0.0.2:6000   up   4 of 5 slots taken",
        "",
        "  ■    2.1 s  abc  POST /process 10.0.0.7",
        "  ◪    2.0 s  abc  POST /process 10.0.0.7, nobody waits for it",
        "  ■    1.0 s  abc  POST /process 10.0.0.7",
    ];
    assert_eq!(lines[4..9], expected);
    // There is nothing further down.
    assert_eq!(view.dialog, Dialog::Work(0));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let now = Instant::now();
    let mut picture = Picture::new(now);
    picture.apply("whole", &told(), now);
    for has_colour in [true, false] {
        let paint = Paint::new(has_colour, true);
        let scene = Scene { picture: &picture, lost: None, heard: now, paused: None, now, paint };
        let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
        terminal.draw(|frame| scene.draw(frame, &mut View::default())).unwrap();
        let is_coloured = terminal.backend().buffer().content().iter().any(|cell| cell.fg != Color::Reset);
        assert_eq!(is_coloured, has_colour);
    }
}

#[test]
fn a_pool_that_refuses_is_seen_before_the_quiet_ones() {
    let now = Instant::now();
    let mut picture = Picture::new(now);
    let names = || (0..20).map(|nth| format!("quiet-{nth:02}")).chain(["refuses".to_owned()]);
    let pools: serde_json::Map<_, _> = names().map(|name| (name, json!({}))).collect();
    let backends: serde_json::Map<_, _> =
        names().map(|name| (name, json!({ "1": { "name": "x", "slots": { "idle": 1 } } }))).collect();
    picture.apply(
        "whole",
        &json!({ "gateway": { "version": "1" }, "pools": pools, "backends": backends }),
        now,
    );
    let paint = Paint::new(false, true);
    let mut view = View::default();
    let mut seen = |picture: &Picture| {
        let scene = Scene { picture, lost: None, heard: now, paused: None, now, paint };
        drawn(80, 24, &mut view, &scene).iter().any(|line| line.starts_with("refuses"))
    };
    assert!(!seen(&picture));
    picture.apply("change", &json!({ "points": { "refuses": [[95.0, 10, 1, 0]] } }), now);
    assert!(seen(&picture));
}

/// The lines at the foot of a terminal of this size, from the one on which the name begins.
fn foot(width: u16, height: u16, is_unicode: bool, mut view: View) -> Vec<String> {
    let paint = Paint::new(false, is_unicode);
    let mut lines = shown(width, height, &mut view, |scene| scene.paint = paint);
    let begins = lines.iter().rposition(|line| line.contains("ba"));
    lines.split_off(begins.unwrap_or_default())
}

#[test]
fn what_is_asked_is_seen_however_narrow_it_is() {
    for mode in ["drain", "ready", "maintenance"] {
        for (is_unicode, ellipsis) in [(true, '…'), (false, '~')] {
            for (width, height) in
                [(120, 40), (80, 24), (40, 10), (40, 3), (30, 24), (30, 10), (30, 4), (30, 2), (30, 1)]
            {
                let errand = Errand {
                    pool: "bay-7-of-the-workers".to_owned(),
                    backend: "render-12.internal:60001".to_owned(),
                    mode,
                };
                let view = View { dialog: Dialog::Sure(errand), ..View::default() };
                let lines = foot(width, height, is_unicode, view);
                let said = lines.join(" ");
                let what = match mode {
                    "drain" => "Drain ba",
                    "ready" => "Bring back ba",
                    _ => "aintenance ba",
                };
                assert!(said.contains(what) && said.contains(":60001?"), "{width}x{height}: {lines:?}");
                let is_answered = said.contains("y yes  n no") || said.ends_with("y/n");
                assert!(is_answered && lines.len() <= 2, "{width}x{height}: {lines:?}");
                assert_eq!(said.contains(ellipsis), width < 80, "{width}x{height}: {lines:?}");
            }
        }
    }
}

#[test]
fn what_came_of_it_is_seen_however_narrow_it_is() {
    let words = [
        " drains: 2 slots are still taken",
        ": not done. It needs the token: IDLEWAY_ADMIN_TOKEN or --token-file names it",
        ": no answer came: it may be done yet",
    ];
    for words in words {
        for (width, height) in [(120, 40), (80, 24), (40, 24), (40, 10), (30, 24), (30, 16)] {
            let mut view = View::default();
            let who = "bay-7-of-the-workers/render-12.internal:60001";
            view.tell(who.to_owned(), words.to_owned(), true, Instant::now());
            let lines = foot(width, height, true, view);
            let said = lines.join(" ");
            let end = words.rsplit(": ").next().unwrap_or_default().trim_start();
            assert!(said.contains(":60001") && said.ends_with(end), "{width}x{height}: {lines:?}");
        }
        // Where it cannot be, that is seen, and the backend's end all the same.
        let mut view = View::default();
        view.tell("bay-7/render-12.internal:60001".to_owned(), words.to_owned(), true, Instant::now());
        let lines = foot(30, 3, true, view);
        assert!(lines[0].contains(":60001") && lines[0].ends_with('…'), "{lines:?}");
    }
}
