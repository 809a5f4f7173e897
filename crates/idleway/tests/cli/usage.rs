//! How the program is called, and what it says to who calls it otherwise.

use super::*;

#[test]
fn wrong_usage_ends_with_2_and_says_how() {
    for (args, says) in [
        (&[][..], "Usage: idleway <COMMAND>"),
        (&["--no-such-thing"], "unexpected argument"),
        (&["run"], "idleway run http://127.0.0.1:6000"),
        (&["run", "--config", "x.toml", "http://127.0.0.1:6000"], "cannot be used with"),
        (&["run", "--threads", "0", "http://127.0.0.1:6000"], "--threads"),
        (&["backend"], "<PORT>"),
        (&["backend", "0", "--delay", "5"], "5 what? a duration carries its unit: write \"5s\""),
        (&["backend", "0", "--slots", "0"], "--slots"),
        (&["check"], "Looked for, in this order:\n  ./idleway.toml\n  /etc/idleway/idleway.toml"),
        (&["run", "--log", "idleway=loud", "http://127.0.0.1:6000"], "--log"),
        (&["run", "--log", "wran", "http://127.0.0.1:6000"], "`wran` is none of off, error, warn, info"),
        (&["check", "--route", "get", "http://h/"], "write --route GET http://h/"),
        (&["check", "--route", "GET", "h/p"], "write --route GET http://h/p"),
        (&["check", "--route", "GET", "/p", "-H", "bad"], "a header field is NAME: VALUE"),
        (&["completions"], "<SHELL>"),
        (&["man", "nothing"], "there is no command `nothing`"),
    ] {
        let (code, stdout, stderr) = ended(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert!(stderr.contains(says), "{args:?} said {stderr}");
    }
    for args in [["help", "run"], ["run", "--help"]] {
        let (code, stdout, _) = ended(&args);
        assert!(code == 0 && stdout.contains("idleway run http://127.0.0.1:6000"), "{stdout}");
    }
    let (code, stdout, _) = ended(&["--help"]);
    assert_eq!(code, 0);
    assert!(["run", "demo", "backend", "check"].iter().all(|command| stdout.contains(command)), "{stdout}");
}
