//! The token of the admin API on this machine: a random one, in a file that only its user can read, so that the command line
//! of the same user just works.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use idleway::config::AdminToken;

/// Bytes of a file that is read for a token.
const LARGEST: u64 = 4096;

/// A token in a file. Gone when this is dropped.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    /// What it wrote.
    token: AdminToken,
}

impl TokenFile {
    /// Writes a new token for the gateway whose admin API has this port.
    ///
    /// # Errors
    /// There is no folder for it, or none that is this user's alone.
    pub(crate) fn write(port: u16) -> anyhow::Result<(AdminToken, Self)> {
        let token = random()?;
        let folder = folders().into_iter().next().ok_or_else(|| {
            anyhow!("neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR nor HOME says where it could stand")
        })?;
        let path = put(&folder, port, &token).with_context(|| format!("in {}", folder.display()))?;
        Ok((token.clone(), Self { path, token }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // It may be gone, with its folder; or another gateway has written its own there.
        if fs::read_to_string(&self.path).is_ok_and(|written| written.trim_end() == self.token.as_str()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What whoever orders something says: what the environment says, or a file that is named, or the one that the gateway of this
/// user has written at that port.
///
/// # Errors
/// A named file cannot be read, or is no token; or others than its user and group can read it.
pub(crate) fn find(named: Option<&Path>, port: Option<u16>) -> anyhow::Result<Option<AdminToken>> {
    if let Some(path) = named {
        return read(path).map(Some);
    }
    if let Some(text) = std::env::var_os("IDLEWAY_ADMIN_TOKEN") {
        let token = text.to_str().map(str::trim).and_then(AdminToken::new);
        return token.map(Some).ok_or_else(|| {
            anyhow!("IDLEWAY_ADMIN_TOKEN is no token: a token has 16 to 1024 letters, digits and signs")
        });
    }
    let Some(port) = port else { return Ok(None) };
    let services = Some(PathBuf::from("/run/idleway"));
    let found = folders().into_iter().chain(services).map(|folder| folder.join(name(port)));
    found.into_iter().find(|path| path.exists()).map(|path| read(&path)).transpose()
}

fn random() -> anyhow::Result<AdminToken> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("the system has no random numbers: {error}"))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    AdminToken::new(&text).context("64 digits are a token")
}

fn name(port: u16) -> String {
    format!("admin-{port}.token")
}

/// Where it stands, the best first: the folder that systemd has made for this service, the one of this user's session, and one
/// in its home.
fn folders() -> Vec<PathBuf> {
    let said = |name: &str| std::env::var_os(name).filter(|text| !text.is_empty());
    // systemd separates several by colons.
    let first = |text: OsString| text.to_str().and_then(|text| text.split(':').next()).map(PathBuf::from);
    let service = said("RUNTIME_DIRECTORY").and_then(first);
    let session = said("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("idleway"));
    let home = said("HOME").map(|home| PathBuf::from(home).join(".cache/idleway"));
    [service, session, home].into_iter().flatten().filter(|folder| folder.is_absolute()).collect()
}

/// A new file that takes the place of an older one, so that nobody reads half of it, and nobody who has the older one open
/// reads this one.
fn put(folder: &Path, port: u16, token: &AdminToken) -> anyhow::Result<PathBuf> {
    make(folder)?;
    let path = folder.join(name(port));
    let beside = folder.join(format!(".{}.{}", name(port), std::process::id()));
    let _ = fs::remove_file(&beside);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        is_ours(folder, &file)?;
        writeln!(file, "{}", token.as_str())
    });
    let written = written.and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(error.into());
    }
    Ok(path)
}

/// A folder of this user's alone, where there is none yet.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Whether nobody else can put another file in the place of this one.
#[cfg(unix)]
fn is_ours(folder: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (around, own) = (fs::metadata(folder)?, file.metadata()?);
    if around.uid() == own.uid() && around.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can write in this folder"))
}

#[cfg(not(unix))]
fn is_ours(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<AdminToken> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if file.metadata()?.mode() & 0o007 != 0 {
            bail!("everybody on this machine can read {0}\n    hint: chmod 600 {0}", path.display());
        }
    }
    let mut text = String::new();
    file.take(LARGEST)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {}", path.display()))?;
    match AdminToken::new(text.trim()) {
        Some(token) => Ok(token),
        None => bail!("{} is no token: a token has 16 to 1024 letters, digits and signs", path.display()),
    }
}
