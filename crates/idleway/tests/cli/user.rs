//! Whom the program runs as: root gives its rights up. Where the tests are not run by root there is nothing to give up.

use super::*;

/// The user, and the groups, of a process: the real, the effective, the saved and that of files.
fn ids_of(gateway: &Running) -> [String; 3] {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
    ["Uid:", "Gid:", "Groups:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

fn id(option: &str) -> String {
    let output = Command::new("id").args([option, "nobody"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    let is_root = output.stdout == b"0\n";
    if !is_root {
        println!("not tried, since this is not root");
    }
    is_root
}

fn four_times(id: &str) -> String {
    [id; 4].join(" ")
}

#[test]
fn root_becomes_whom_it_is_told_to_be() {
    if !is_root() {
        return;
    }
    let backend = Running::backend(&["--delay", "0"]);
    let args = ["run", "--listen", "127.0.0.1:0", "--user", "nobody", &backend.url];
    let gateway = Running::start(&args);
    let [uid, gid, groups] = ids_of(&gateway);
    assert_eq!((uid, gid), (four_times(&id("-u")), four_times(&id("-g"))));
    assert!(!groups.split(' ').any(|group| group == "0"), "{groups}");
    assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    let (code, _, stderr) =
        ended(&["run", "--listen", "127.0.0.1:0", "--user", "no-such-user-here", &backend.url]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("cannot become no-such-user-here: there is no user `no-such-user-here`"),
        "{stderr}"
    );
}

/// Where it is only root for the sake of the port.
#[test]
fn root_on_a_low_port_becomes_nobody_unless_told_to_stay() {
    if !is_root() {
        return;
    }
    let backend = Running::backend(&["--delay", "0"]);
    for (more, uid) in [(&[][..], id("-u")), (&["--user", "root"], "0".to_owned())] {
        // One that is free, as far as that can be known.
        let free = (600..1024).rev().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
        let listen = format!("127.0.0.1:{free}");
        let gateway =
            Running::start(&[&["run", "--listen", &listen], more, &[backend.url.as_str()]].concat());
        assert_eq!(ids_of(&gateway)[0], four_times(&uid));
        assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    }
}

/// The file is read again later: who may not read it is told so at the start.
#[test]
fn a_file_that_cannot_be_read_again_is_told_of() {
    if !is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;

    let backend = Running::backend(&["--delay", "0"]);
    let path = file("rights.toml", &format!("listen = \"127.0.0.1:0\"\nbackends = [\"{}\"]", backend.url));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut gateway =
        Running::start_logging_to(Stdio::piped(), &["run", "--config", &path, "--user", "nobody"]);
    let mut log = BufReader::new(gateway.child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(
        log.any(
            |line| line.contains("the configuration cannot be read again") && line.contains("rights.toml")
        )
    );
}
