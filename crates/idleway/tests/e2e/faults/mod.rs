//! A backend that dies at every byte of an exchange, beside one that is sound: nobody is told what is not so, nothing
//! that must not run twice does, and no Slot is lost.

mod death;
mod world;

use std::fmt::Debug;
use std::thread;

use death::{Death, ENDS, End};
use world::{GET, KEYED, Kind, Making, POST, PUT, Told, WITH_KEY, World};

const KINDS: [Kind; 5] = [GET, PUT, POST, KEYED, WITH_KEY];

/// Runs all of these at once: most of the time they wait for a Slot that rests because its exchange broke.
fn all_at_once<T: Debug + Sync>(cases: &[T], run: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            // The name says which one has failed.
            let thread = thread::Builder::new().name(format!("{case:?}"));
            thread.spawn_scoped(scope, || run(case)).unwrap();
        }
    });
}

/// All there is of these two.
fn pairs<A: Copy, B: Copy>(some: &[A], others: &[B]) -> Vec<(A, B)> {
    some.iter().flat_map(|one| others.iter().map(move |other| (*one, *other))).collect()
}

/// What a request may be told whose backend died before it had said anything.
fn assert_never_begun(kind: Kind, death: &Death, told: &Told) {
    let Some(answer) = &told.answer else { panic!("{kind:?}, {death:?}: cut before it began") };
    let [mortal, sound] = told.ran;
    let case = || format!("{kind:?}, {death:?}: {told:?}");
    if kind.is_repeatable {
        assert_eq!((answer.status(), answer.text()), (200, "sound"), "{}", case());
        assert_eq!(sound, 1, "{}", case());
        return;
    }
    assert!(mortal + sound <= 1, "it ran more than once: {}", case());
    if answer.status() == 200 {
        // Nothing had been written to it yet when it died.
        assert!(death.read.is_none_or(|read| read == 0), "{}", case());
        assert_eq!((answer.text(), sound), ("sound", 1), "{}", case());
    } else {
        assert_eq!((answer.status(), answer.reason().as_str()), (502, "backend-closed"), "{}", case());
        assert_eq!(sound, 0, "{}", case());
    }
}

#[test]
fn a_request_is_answered_once_and_runs_once_wherever_in_it_its_backend_dies() {
    let cases = pairs(&pairs(&KINDS, &ENDS), &[false, true]);
    all_at_once(&cases, |&((kind, end), is_reused)| {
        let mut world = World::new(Making { is_reused, streams: false });
        let accepted = (!is_reused).then_some(None);
        for read in accepted.into_iter().chain((0..).map(Some)) {
            let death = Death { read, said: Vec::new(), end };
            let told = world.meets(kind, &death);
            assert_never_begun(kind, &death, &told);
            if told.met.had_whole {
                assert!(read > Some(100), "a whole request after {read:?} bytes: this shows too little");
                break;
            }
        }
        world.each_serves();
    });
}

/// An answer, byte by byte, and where in it its head ends.
fn answer(framing: &str, body: &str) -> (Vec<u8>, usize) {
    let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
    ((head.clone() + body).into_bytes(), head.len())
}

/// The framings of an answer whose content is this.
const CONTENT: &str = "content";
const FRAMINGS: [(&str, &str); 3] = [
    ("Content-Length: 7\r\n", CONTENT),
    ("Transfer-Encoding: chunked\r\n", "3\r\ncon\r\n4\r\ntent\r\n0\r\n\r\n"),
    ("", CONTENT),
];

#[test]
fn an_answer_that_breaks_off_is_repeated_while_it_has_not_begun_and_visibly_cut_after_that() {
    let cases = pairs(&pairs(&KINDS, &[End::Close, End::Reset]), &pairs(&FRAMINGS, &[false, true]));
    all_at_once(&cases, |&((kind, end), ((framing, body), is_reused))| {
        let mut world = World::new(Making { is_reused, streams: false });
        let (whole, head) = answer(framing, body);
        for said in 0..=whole.len() {
            let death = Death { read: Some(usize::MAX), said: whole[..said].to_vec(), end };
            let told = world.meets(kind, &death);
            let case = || format!("{kind:?}, {death:?}: {told:?}");
            assert!(told.met.had_whole && told.ran[0] >= 1, "{}", case());
            if said < head {
                assert_never_begun(kind, &death, &told);
                continue;
            }
            assert_eq!(told.ran, [1, 0], "{}", case());
            let until_close = framing.is_empty();
            let is_complete = if until_close { end == End::Close } else { said == whole.len() };
            let Some(answer) = &told.answer else {
                assert!(!is_complete, "a complete answer was cut: {}", case());
                continue;
            };
            assert!(is_complete, "it looks complete: {}", case());
            // What a FIN ends without a length nobody can tell from the whole.
            let content = if until_close { &CONTENT[..said - head] } else { CONTENT };
            assert_eq!((answer.status(), answer.text()), (200, content), "{}", case());
        }
        world.each_serves();
    });
}

/// What has streamed is gone: then nobody is asked again, and nobody is told that all is well.
#[test]
fn a_body_that_streams_is_sent_once_or_whole_wherever_in_it_the_backend_dies() {
    let cases = pairs(&pairs(&[PUT, POST], &[End::Fin, End::Reset]), &[false, true]);
    all_at_once(&cases, |&((kind, end), is_reused)| {
        let mut world = World::new(Making { is_reused, streams: true });
        let accepted = (!is_reused).then_some(None);
        for read in accepted.into_iter().chain((0..).map(Some)) {
            let death = Death { read, said: Vec::new(), end };
            let told = world.meets(kind, &death);
            let answer = told.answer.as_ref().unwrap_or_else(|| panic!("{kind:?}, {death:?}: no answer"));
            let case = || format!("{kind:?}, {death:?}: {told:?}");
            let [mortal, sound] = told.ran;
            assert!(mortal + sound <= 1 || kind.is_repeatable, "it ran more than once: {}", case());
            match answer.status() {
                // Its body is found whole there.
                200 => assert_eq!((answer.text(), sound), ("sound", 1), "{}", case()),
                502 => assert_eq!((answer.reason().as_str(), sound), ("backend-closed", 0), "{}", case()),
                _ => panic!("{}", case()),
            }
            if told.met.had_whole {
                break;
            }
        }
        world.each_serves();
    });
}
