//! All rule files as they are at one moment, and what becomes of one of them.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Refused;
use super::write::Place;
use crate::reload::RuleSources;
use crate::rules::edit::{self, Edit, Piece, Tree};
use crate::rules::{FilesRead, Problem, SourceText};

/// Largest text of a file that is taken from people.
pub const TEXT_BYTES_MAX: usize = 256 << 10;
/// Longest name of a file that is made here.
const NAME_BYTES_MAX: usize = 100;
/// How names of files that ship begin.
const SHIPPED: &str = "builtin/";
/// Where changes of rules that ship go, unless somebody says otherwise.
const OVERRIDES: &str = "overrides.yaml";

/// All rule files, those that ship included.
#[derive(Debug)]
pub struct Files {
    /// Those that could be read.
    pub sources: Vec<SourceText>,
    /// Those that could not.
    pub unread: Vec<Problem>,
    /// Where they come from.
    pub(super) read_from: RuleSources,
}

/// Where a rule is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// Its file, as its name is told to people.
    pub file: String,
    /// Its lines in there, and what they say.
    pub piece: Piece,
    /// The one-based number of the first of them.
    pub line: usize,
    /// Whether it ships with trommel, and so can only be extended.
    pub ships: bool,
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub enum Proposal {
    /// A file holds this text.
    Text {
        /// Its name, or the path that it is known by.
        file: String,
        /// All of it.
        text: String,
    },
    /// A rule has these keys, or has them no more where there is nothing.
    Keys {
        /// Its id.
        rule: String,
        /// What is different.
        keys: Vec<(String, Option<Tree>)>,
        /// Where a rule that ships is extended, if it is not yet.
        file: Option<String>,
    },
    /// There is a rule more.
    Add {
        /// In which file.
        file: String,
        /// What it says.
        keys: Vec<(String, Tree)>,
    },
}

/// A file as it would be.
#[derive(Debug)]
pub struct Proposed {
    /// The path by which the rules know it.
    pub path: String,
    /// Its path as seen from the rules directory, for patches.
    pub file: String,
    /// What is in it; `None` where there is no such file.
    pub old: Option<String>,
    /// What would be in it.
    pub text: String,
    /// Where it is written, or why not.
    pub writable: Result<Place, String>,
}

/// What a file's content is known by; of one that is not there, `none`.
#[must_use]
pub fn digest_of(text: Option<&str>) -> String {
    match text {
        None => "none".to_owned(),
        Some(text) => {
            let digest = Sha256::digest(text.as_bytes());
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

impl Proposed {
    /// What the file that was there is known by.
    #[must_use]
    pub fn hash(&self) -> String {
        digest_of(self.old.as_deref())
    }

    /// What is different, for `patch -p1` and `git apply`.
    #[must_use]
    pub fn diff(&self) -> String {
        edit::unified(&self.file, self.old.as_deref(), &self.text)
    }

    /// That the file is not the one that was edited.
    pub(super) fn conflict(&self) -> Refused {
        Refused::Conflict {
            file: self.file.clone(),
            hash: self.hash(),
            diff: self.diff(),
        }
    }
}

/// Whether the file with this name comes with trommel.
fn ships(name: &str) -> bool {
    name.starts_with(SHIPPED)
}

impl Files {
    pub(super) fn read(sources: &RuleSources) -> Self {
        let FilesRead {
            sources: read,
            problems,
        } = sources.read().into_read();
        Self {
            sources: read,
            unread: problems,
            read_from: sources.clone(),
        }
    }

    /// The file with this path or, as long as it can be only one, this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&SourceText> {
        let whole = self.sources.iter().find(|source| source.name == name);
        let seen = || {
            let mut named = self.sources.iter().filter(|it| self.seen(&it.name) == name);
            named.next().filter(|_| named.next().is_none())
        };
        whole.or_else(seen)
    }

    /// Where the rule `id` is written: by an operator, else as it ships.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<(&SourceText, RuleText)> {
        let written = self.sources.iter();
        let written = written.filter_map(|source| Some((source, self.text_of(id, source)?)));
        // Who extends a rule under its own id stands in its place.
        written.min_by_key(|(_, text)| text.ships)
    }

    /// Where the rule `id` is written as it ships.
    #[must_use]
    pub fn shipped(&self, id: &str) -> Option<(&SourceText, RuleText)> {
        let mut shipped = self.sources.iter().filter(|source| ships(&source.name));
        shipped.find_map(|source| Some((source, self.text_of(id, source)?)))
    }

    fn text_of(&self, id: &str, source: &SourceText) -> Option<RuleText> {
        // Looking is cheaper than reading.
        source.text.contains(id).then_some(())?;
        let piece = edit::piece_of(&source.text, id)?;
        Some(RuleText {
            file: self.seen(&source.name),
            line: source.text[..piece.lines.start].matches('\n').count() + 1,
            ships: ships(&source.name),
            piece,
        })
    }

    /// What the file at `path` is called in a patch: its path as seen from the directory of rules that it is in.
    fn seen(&self, path: &str) -> String {
        let path = Path::new(path);
        let paths = self.read_from.paths().iter();
        let below = paths.filter_map(|root| path.strip_prefix(root).ok());
        let below = below.map(|rest| match rest.as_os_str().is_empty() {
            true => path.file_name().unwrap_or_default().as_ref(),
            false => rest,
        });
        let seen = below.min_by_key(|rest| rest.components().count());
        seen.unwrap_or(path).display().to_string()
    }

    /// What `proposal` makes of which file.
    ///
    /// # Errors
    /// [`Refused`] for what makes no sense; whether the rules are right is another question.
    pub fn propose(&self, proposal: Proposal) -> Result<Proposed, Refused> {
        match proposal {
            Proposal::Text { file, text } => {
                if text.len() > TEXT_BYTES_MAX {
                    return Err(Refused::Bad(format!(
                        "the text has {} bytes, limit is {TEXT_BYTES_MAX}",
                        text.len()
                    )));
                }
                let mut proposed = self.file(&file)?;
                // What a browser sends of a text area has the line ends of Windows, whatever it was given.
                let keeps = proposed
                    .old
                    .as_deref()
                    .is_some_and(|old| old.contains("\r\n"));
                proposed.text = if keeps {
                    text
                } else {
                    text.replace("\r\n", "\n")
                };
                Ok(proposed)
            }
            Proposal::Add { file, keys } => {
                let mut proposed = self.file(&file)?;
                proposed.text = edit::edit(&proposed.text, &[Edit::Add(keys)])?;
                Ok(proposed)
            }
            Proposal::Keys { rule, keys, file } => self.keys(&rule, keys, file),
        }
    }

    fn keys(
        &self,
        rule: &str,
        keys: Vec<(String, Option<Tree>)>,
        file: Option<String>,
    ) -> Result<Proposed, Refused> {
        let (source, written) = self.rule(rule).ok_or_else(|| {
            Refused::Missing(format!("no rule `{rule}` is written in any rule file"))
        })?;
        if written.ships {
            let mut proposed = self.file(file.as_deref().unwrap_or(OVERRIDES))?;
            let mut entries = vec![("extends".to_owned(), Tree::Text(rule.to_owned()))];
            for (key, value) in keys {
                // Nothing is taken from what ships by not writing it.
                entries.extend(value.map(|value| (key, value)));
            }
            proposed.text = edit::edit(&proposed.text, &[Edit::Add(entries)])?;
            return Ok(proposed);
        }
        let mut proposed = self.file(&source.name)?;
        let edits = keys.into_iter().map(|(key, value)| {
            let rule = rule.to_owned();
            match value {
                Some(value) => Edit::Set { rule, key, value },
                None => Edit::Remove { rule, key },
            }
        });
        proposed.text = edit::edit(&proposed.text, &edits.collect::<Vec<_>>())?;
        Ok(proposed)
    }

    /// The file called `name`, unchanged; a new one where there is none.
    fn file(&self, name: &str) -> Result<Proposed, Refused> {
        if ships(name) {
            return Err(Refused::Bad(format!(
                "{name} ships with trommel and cannot be changed: extend its rule in a file of your own"
            )));
        }
        if let Some(source) = self.find(name) {
            let path = PathBuf::from(&source.name);
            let writable = self.place(&path);
            return Ok(Proposed {
                file: self.seen(&source.name),
                path: source.name.clone(),
                old: Some(source.text.clone()),
                text: source.text.clone(),
                writable,
            });
        }
        check_name(name)?;
        let directory = self.read_from.writable().map(Path::to_owned);
        let directory = directory.or_else(|| {
            let mut paths = self.read_from.paths().iter();
            paths.find(|path| path.is_dir()).cloned()
        });
        // Without any directory it is only looked at.
        let path = directory.map_or_else(|| PathBuf::from(name), |it| it.join(name));
        if path.symlink_metadata().is_ok() {
            return Err(Refused::Bad(format!(
                "{} is there, and is no rule file that can be read",
                path.display()
            )));
        }
        let shown = path.display().to_string();
        Ok(Proposed {
            file: self.seen(&shown),
            writable: self.place(&path),
            path: shown,
            old: None,
            text: String::new(),
        })
    }

    /// Where the file at `path` is written, or why it is not.
    fn place(&self, path: &Path) -> Result<Place, String> {
        let directory = self.read_from.writable().ok_or_else(|| {
            "rule files cannot be changed here: `rules_writable` names no directory; apply the patch where they come from".to_owned()
        })?;
        let shown = directory.display();
        if path.parent() != Some(directory) {
            return Err(format!(
                "{} is not in {shown}, the one directory whose files can be changed here (`rules_writable`); apply the patch where it comes from",
                path.display()
            ));
        }
        if path.is_symlink() {
            return Err(format!(
                "{} is a link, as in a mounted ConfigMap, and only plain files are changed; apply the patch where it comes from",
                path.display()
            ));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        check_name(&name).map_err(|refused| refused.to_string())?;
        let real = fs::canonicalize(directory)
            .map_err(|error| format!("{shown} (`rules_writable`): {error}"))?;
        let inside =
            |root: &PathBuf| fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
        if !self.read_from.paths().iter().any(inside) {
            return Err(format!(
                "{shown} (`rules_writable`) leads to {}, which is in no directory of `rules`",
                real.display()
            ));
        }
        Ok(Place {
            directory: real,
            name: name.into_owned(),
        })
    }
}

/// A name that means the same everywhere, and that leads nowhere else.
fn check_name(name: &str) -> Result<(), Refused> {
    let stem = name.strip_suffix(".yaml").unwrap_or_default();
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    if stem.is_empty() || !stem.bytes().all(plain) || name.len() > NAME_BYTES_MAX {
        return Err(Refused::Bad(format!(
            "`{}` is no name of a file of rules: letters a to z, digits, `_` and `-`, then `.yaml`, {NAME_BYTES_MAX} bytes at most",
            shown.escape_debug()
        )));
    }
    if stem.ends_with("_test") {
        return Err(Refused::Bad(format!(
            "`{shown}` would be a file of tests, and not of rules"
        )));
    }
    Ok(())
}
