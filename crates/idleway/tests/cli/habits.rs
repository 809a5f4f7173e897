//! What people expect of a program that they have not read about: where its file may be, what the environment says, and
//! what is made for shells and manuals.

use super::*;

/// A folder of its own, with a configuration at each of these places in it, that listens where the number says.
fn folder(name: &str, places: &[(&str, u16)]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("work")).unwrap();
    for (place, port) in places {
        let path = folder.join(place);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("listen = \"127.0.0.9:{port}\"\nbackends = [\"http://10.0.0.1\"]"))
            .unwrap();
    }
    folder
}

#[test]
fn the_file_is_found_where_people_put_it() {
    let (here, own, home, named) =
        ("work/idleway.toml", "xdg/idleway/idleway.toml", "home/.config/idleway/idleway.toml", "named.toml");
    let all = [(here, 1), (own, 2), (home, 3), (named, 4)];
    for (nth, present) in [&all[..], &all[1..], &all[2..]].into_iter().enumerate() {
        let folder = folder(&format!("found-{nth}"), present);
        let check = |named: Option<&str>| {
            let mut command = idleway(&["check"]);
            command.current_dir(folder.join("work")).env("HOME", folder.join("home"));
            if nth < 2 {
                command.env("XDG_CONFIG_HOME", folder.join("xdg"));
            }
            if let Some(named) = named {
                command.env("IDLEWAY_CONFIG", folder.join(named));
            }
            ended_on(command, "")
        };
        let (code, told, _) = check(None);
        assert_eq!(code, 0);
        let port = present[0].1;
        assert!(told.contains(&format!("is good: it listens on 127.0.0.9:{port}\n")), "{told}");
        let (_, told, _) = check(Some(named));
        assert!(told.contains("is good: it listens on 127.0.0.9:4\n"), "{told}");
        // What is named and not there is no reason to look elsewhere.
        let (code, told, stderr) = check(Some("missing.toml"));
        assert_eq!((code, told.as_str()), (78, ""), "{stderr}");
    }
}

/// What a gateway logs between its start and its end.
fn log_of(command: &mut Command) -> (String, String) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    if !url.is_empty() {
        kill(&child.id().to_string(), "-TERM");
    }
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(exit_code(&mut child), Some(0), "{log}");
    (url, log)
}

#[test]
fn the_environment_sets_what_belongs_to_the_process() {
    let folder = folder("environment", &[("work/idleway.toml", 1)]);
    let run = |variables: &[(&str, &str)]| {
        let mut command = idleway(&["run"]);
        command.current_dir(folder.join("work")).envs(variables.iter().copied());
        command
    };
    let listen = ("IDLEWAY_LISTEN", "127.0.0.1:0");
    let (url, log) = log_of(&mut run(&[listen, ("IDLEWAY_THREADS", "1")]));
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert!(log.contains("the configuration is read file=idleway.toml"), "{log}");
    assert!(!log.contains('\x1b'), "{log}");
    let coloured = log_of(&mut run(&[listen, ("CLICOLOR_FORCE", "1")])).1;
    assert!(coloured.contains('\x1b'), "{coloured}");
    assert!(!log_of(&mut run(&[listen, ("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")])).1.contains('\x1b'));
    let quiet = log_of(&mut run(&[listen, ("IDLEWAY_LOG", "error"), ("RUST_LOG", "trace")])).1;
    assert_eq!(quiet, "");
    assert_eq!(log_of(&mut run(&[listen, ("RUST_LOG", "error")])).1, "");
    let (code, _, stderr) = ended_on(run(&[("IDLEWAY_THREADS", "0")]), "");
    assert_eq!(code, 2, "{stderr}");
    // What is said on the command line weighs more.
    let mut command = run(&[("IDLEWAY_LISTEN", "256.0.0.1"), ("IDLEWAY_CONFIG", "missing.toml")]);
    command.args(["--listen", "127.0.0.1:0", "http://10.0.0.1"]);
    log_of(&mut command);
}

#[test]
fn help_tells_of_the_environment_and_shows_examples() {
    let (_, run, _) = ended(&["run", "--help"]);
    for variable in
        ["IDLEWAY_CONFIG", "[env: IDLEWAY_LISTEN]", "[env: IDLEWAY_THREADS]", "[env: IDLEWAY_LOG]"]
    {
        assert!(run.contains(variable), "no {variable} in {run}");
    }
    for command in
        ["run", "demo", "load", "backend", "witness", "top", "check", "schema", "completions", "man"]
    {
        let (_, help, _) = ended(&[command, "--help"]);
        assert!(help.contains(&format!("Examples:\n  idleway {command}")), "{help}");
    }
    let (_, program, _) = ended(&["--help"]);
    assert!(program.contains("Exit codes:") && program.contains("  78  "), "{program}");
}

#[test]
fn the_version_names_a_commit_where_there_is_one() {
    let (code, told, _) = ended(&["--version"]);
    let expected = concat!("idleway ", env!("CARGO_PKG_VERSION"));
    let commit = told.strip_prefix(expected).unwrap_or_else(|| panic!("{told}")).trim_end();
    let is_commit = commit.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')')).is_some_and(|commit| {
        let (hash, day) = commit.split_once(' ').unwrap();
        hash.bytes().all(|b| b.is_ascii_hexdigit()) && day.split('-').count() == 3
    });
    let is_checkout = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.git")).exists();
    assert_eq!((code, is_commit, commit.is_empty()), (0, is_checkout, !is_checkout), "{told}");
}

#[test]
fn completions_and_pages_know_every_command() {
    let commands =
        ["run", "demo", "load", "backend", "witness", "top", "check", "schema", "completions", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = ended(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}: {script}");
        assert!(script.contains("threads"), "{shell} knows no options");
    }
    let (code, page, _) = ended(&["man"]);
    assert_eq!(code, 0);
    assert!(commands.iter().all(|command| page.contains(&format!("idleway\\-{command}(1)"))), "{page}");
    assert!(page.contains("Exit codes:"), "{page}");
    let (_, page, _) = ended(&["man", "run"]);
    assert!(page.contains("\\-\\-threads") && page.contains("IDLEWAY_THREADS"), "{page}");
    let (code, schema, _) = ended(&["schema"]);
    let committed = include_str!("../../../../docs/idleway.schema.json");
    assert_eq!(
        (code, schema.as_str()),
        (0, committed),
        "renew it: cargo run -p idleway -- schema > docs/idleway.schema.json"
    );
}
