//! Whom the program runs as once its sockets are there: who serves strangers needs no right but to do so.

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use nix::unistd::{Gid, Group, User, geteuid, initgroups, setgid, setgroups, setuid};

/// Who has no rights anywhere.
const NOBODY: &str = "nobody";

/// Ports below it are root's to listen on.
const LOW: u16 = 1024;

/// A user, and the group where it is not the user's own, by their names or numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    user: String,
    group: Option<String>,
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || group.is_some_and(str::is_empty) {
            return Err("write USER or USER:GROUP".to_owned());
        }
        Ok(Self { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

/// Becomes whom it was told to be; where nothing was said and root has listened on a low port, nobody. `file` is read again
/// later.
///
/// # Errors
/// There is no such user or group, or this one may not become another.
pub(crate) fn become_less(
    told: Option<&Account>,
    listen: SocketAddr,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    match told {
        Some(account) => become_one(account).with_context(|| format!("cannot become {account}"))?,
        None if geteuid().is_root() && (1..LOW).contains(&listen.port()) => {
            let nobody = Account { user: NOBODY.to_owned(), group: None };
            if let Err(error) = become_one(&nobody) {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "this gateway goes on as root: name another user with --user"
                );
                return Ok(());
            }
        }
        None => return Ok(()),
    }
    if let Some(file) = file
        && let Err(error) = File::open(file)
    {
        tracing::warn!(
            file = %file.display(), %error,
            "the configuration cannot be read again: give the user that this gateway runs as the right to"
        );
    }
    Ok(())
}

fn become_one(account: &Account) -> anyhow::Result<()> {
    let user = user(&account.user)?;
    let group = account.group.as_deref().map(group).transpose()?;
    if user.uid == geteuid() {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(anyhow!("only root becomes another user"));
    }
    let gid = group.unwrap_or(user.gid);
    // In this order: without the user's rights the groups could not be changed any more.
    match std::ffi::CString::new(user.name.as_str()) {
        Ok(name) if group.is_none() => initgroups(&name, gid)?,
        _ => setgroups(&[gid])?,
    }
    setgid(gid)?;
    setuid(user.uid)?;
    tracing::info!(user = %user.name, uid = user.uid.as_raw(), gid = gid.as_raw(), "this gateway has given up the rights of root");
    Ok(())
}

fn user(name: &str) -> anyhow::Result<User> {
    let found = match name.parse() {
        Ok(uid) => User::from_uid(nix::unistd::Uid::from_raw(uid))?,
        Err(_) => User::from_name(name)?,
    };
    found.ok_or_else(|| anyhow!("there is no user `{name}`"))
}

fn group(name: &str) -> anyhow::Result<Gid> {
    let found = match name.parse() {
        Ok(gid) => Group::from_gid(Gid::from_raw(gid))?,
        Err(_) => Group::from_name(name)?,
    };
    found.map(|group| group.gid).ok_or_else(|| anyhow!("there is no group `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_may_have_a_group() {
        for text in ["idleway", "idleway:web", "1000:1000"] {
            assert_eq!(text.parse::<Account>().unwrap().to_string(), text);
        }
        for text in ["", ":", "a:", ":b"] {
            assert!(text.parse::<Account>().is_err(), "{text}");
        }
        assert!(user("no-such-user-here").is_err() && group("no-such-group-here").is_err());
        assert_eq!(user("0").unwrap().name, "root");
    }
}
