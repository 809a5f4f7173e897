//! Whether a file may have changed: it was written, put in the place of another, or a link on the way to it leads
//! elsewhere now, as where Kubernetes mounts a ConfigMap.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Links on the way to a file, as many as the system follows.
const LINKS: usize = 40;

/// Watches the folders that a file's path leads through: a file that is replaced is none that can be watched itself.
#[derive(Debug)]
pub(crate) struct Watch {
    file: PathBuf,
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// What the system says where it cannot.
    pub(crate) fn new(file: &Path) -> notify::Result<Self> {
        let changed = Arc::new(Notify::new());
        let tell = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // What was missed may have been a change. Reading is none, and the reload reads.
            if event.map_or(true, |event| !event.kind.is_access()) {
                tell.notify_one();
            }
        })?;
        let mut watch = Self { file: std::path::absolute(file)?, watcher, folders: BTreeSet::new(), changed };
        watch.follow()?;
        Ok(watch)
    }

    /// Resolves when something has happened in one of the folders since this was asked last.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Watches the folders that the path leads through now.
    ///
    /// # Errors
    /// What the system says where it cannot watch one that is there.
    pub(crate) fn follow(&mut self) -> notify::Result<()> {
        let folders = folders(&self.file);
        for folder in self.folders.difference(&folders) {
            // It may be gone.
            let _ = self.watcher.unwatch(folder);
        }
        let mut watched: BTreeSet<_> = self.folders.intersection(&folders).cloned().collect();
        let mut failed = Ok(());
        for folder in folders.difference(&self.folders) {
            match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => _ = watched.insert(folder.clone()),
                Err(error) if folder.is_dir() => failed = Err(error),
                Err(_) => {}
            }
        }
        self.folders = watched;
        failed
    }
}

/// The folder of the file, and that of each link on the way to it.
fn folders(file: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut path = file.to_owned();
    for _ in 0..LINKS {
        // As far as this there is no link, so that a `..` can be taken by its word.
        let mut plain = PathBuf::new();
        let mut parts = path.components();
        let link = parts.find_map(|part| {
            match part {
                Component::ParentDir => _ = plain.pop(),
                Component::CurDir => {}
                part => plain.push(part),
            }
            std::fs::read_link(&plain).ok()
        });
        let rest = parts.as_path().to_owned();
        folders.extend(
            plain.parent().filter(|_| link.is_some() || rest.as_os_str().is_empty()).map(Path::to_owned),
        );
        let Some(target) = link else { return folders };
        plain.pop();
        path = plain.join(target);
        path.extend(&rest);
    }
    folders
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder of its own, without a link on the way to it.
    #[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("idleway-watch-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder.canonicalize().unwrap()
    }

    #[test]
    fn each_link_on_the_way_is_watched_where_it_stands() {
        let root = folder("links");
        for name in ["etc", "data-1", "real"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("real/file"), "").unwrap();
        symlink("../real/file", root.join("data-1/file")).unwrap();
        symlink("data-1", root.join("..data")).unwrap();
        symlink(root.join("..data/file"), root.join("etc/file")).unwrap();
        let found = folders(&root.join("etc/file"));
        let expected = [root.clone(), root.join("etc"), root.join("data-1"), root.join("real")];
        assert_eq!(found, expected.into_iter().collect());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_link_that_leads_to_itself_ends() {
        let root = folder("loop");
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(folders(&root.join("a")), [root.clone()].into_iter().collect());
        fs::remove_dir_all(root).unwrap();
    }

    /// As Kubernetes does it: the file is a link through another, which is replaced.
    #[tokio::test]
    async fn a_link_that_is_replaced_is_a_change() {
        let root = folder("swap");
        for version in ["1", "2"] {
            fs::create_dir(root.join(version)).unwrap();
            fs::write(root.join(version).join("file"), version).unwrap();
        }
        symlink("1", root.join("..data")).unwrap();
        symlink("..data/file", root.join("file")).unwrap();
        let mut watch = Watch::new(&root.join("file")).unwrap();
        symlink("2", root.join("..new")).unwrap();
        fs::rename(root.join("..new"), root.join("..data")).unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), watch.changed()).await.expect("a change");
        assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "2");
        watch.follow().unwrap();
        fs::write(root.join("2/file"), "3").unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), watch.changed()).await.expect("a change");
        fs::remove_dir_all(root).unwrap();
    }
}
