//! Writing a rule file: all of it or nothing, and only over what was edited.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Refused;
use super::files::{Proposed, digest_of};

/// Where a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The directory, without links.
    pub(super) directory: PathBuf,
    /// The file's name in it, which leads nowhere else.
    pub(super) name: String,
}

/// Puts the text of `proposed` at `place`, if what is there is what it was made of. Nobody ever sees half of it, and when this
/// returns it is on the disk.
pub(super) fn write(place: &Place, proposed: &Proposed) -> Result<(), Refused> {
    let target = place.directory.join(&place.name);
    let failed =
        |error: io::Error| Refused::Failed(format!("cannot write {}: {error}", target.display()));
    let there = read(&target)?;
    if digest_of(there.as_deref()) != proposed.hash() {
        return Err(changed(proposed, there));
    }
    // Hidden, so that nobody reads it as rules. One that was left behind by a crash is in nobody's way: it is made anew.
    let temporary = place.directory.join(format!(".{}.new", place.name));
    let written = fresh(&temporary, &target, &proposed.text).and_then(|()| {
        // Renaming puts it in the place of a link too, and follows none.
        fs::rename(&temporary, &target)?;
        File::open(&place.directory)?.sync_all()
    });
    if written.is_err() {
        // It may not be there, and that is as well.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(failed)
}

/// What was put there meanwhile, by somebody else.
fn changed(proposed: &Proposed, there: Option<String>) -> Refused {
    let now = Proposed {
        old: there,
        path: proposed.path.clone(),
        file: proposed.file.clone(),
        text: proposed.text.clone(),
        writable: proposed.writable.clone(),
    };
    now.conflict()
}

/// What is at `path`; no link is followed.
fn read(path: &Path) -> Result<Option<String>, Refused> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Refused::Failed(format!("{}: {error}", path.display()))),
        Ok(found) => found,
    };
    if !found.is_file() {
        return Err(Refused::ReadOnly(format!(
            "{} is a link or no file at all, and only plain files are changed; apply the patch where it comes from",
            path.display()
        )));
    }
    fs::read_to_string(path)
        .map(Some)
        .map_err(|error| Refused::Failed(format!("{}: {error}", path.display())))
}

fn fresh(temporary: &Path, target: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(temporary)?;
    if let Ok(found) = fs::metadata(target) {
        file.set_permissions(found.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
