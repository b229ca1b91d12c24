//! The rule files of a running trommel: read as a whole, known by their content, and loaded.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{Digest, READS_MAX};
use crate::config::Config;
use crate::rules::{self, FilesRead, Level, LoadOptions, Problem, RuleSet, SourceText};

/// Most problems that are told of one set: nobody reads further, and `trommel check` shows all.
const TOLD_MAX: usize = 20;

/// Where rules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSources {
    paths: Vec<PathBuf>,
    writable: Option<PathBuf>,
    builtin: bool,
    environment: String,
}

/// Rule files as they were at one moment.
#[derive(Debug)]
pub struct RuleFiles {
    read: FilesRead,
    digest: Digest,
    environment: String,
}

/// What came of loading rule files.
#[derive(Debug)]
pub struct LoadedRules {
    /// The rules; `None` when anything is wrong with any file.
    pub set: Option<RuleSet>,
    /// Everything to tell, warnings included.
    pub problems: Vec<Problem>,
    /// The files that problems are about.
    pub sources: Vec<SourceText>,
}

impl RuleSources {
    /// As `config` names them.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            paths: config.rules.clone(),
            writable: config.rules_writable.clone(),
            builtin: config.builtin,
            environment: config.origin.environment.clone(),
        }
    }

    /// Files and directories that rules are read from, beside those that ship.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The directory among them whose files may be changed.
    #[must_use]
    pub fn writable(&self) -> Option<&Path> {
        self.writable.as_deref()
    }

    /// Name of the environment; empty for none.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Reads every file. Blocks while it reads.
    #[must_use]
    pub fn read(&self) -> RuleFiles {
        let mut read = rules::read_paths(&self.paths);
        if self.builtin {
            read.sources.extend(rules::builtin());
        }
        RuleFiles {
            digest: digest(&read),
            environment: self.environment.clone(),
            read,
        }
    }

    /// Reads until two readings in a row are alike, a few times at most.
    pub(super) fn read_settled(&self) -> RuleFiles {
        let mut files = self.read();
        for _ in 1..READS_MAX {
            let again = self.read();
            let settled = again.digest == files.digest;
            files = again;
            if settled {
                break;
            }
        }
        files
    }
}

impl RuleFiles {
    /// What they hold.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the file that is called `name` holds.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let file = self.read.sources.iter().find(|file| file.name == name)?;
        Some(&file.text)
    }

    /// As [`load`](Self::load), with the rules of `text`, which stand in for those of the same id.
    #[must_use]
    pub fn load_with(mut self, text: SourceText) -> LoadedRules {
        self.read.sources.push(text);
        let options = LoadOptions {
            last_stands_in: true,
            ..LoadOptions::of_instance(&self.environment)
        };
        self.load_by(&options)
    }

    /// The files themselves.
    #[must_use]
    pub fn into_read(self) -> FilesRead {
        self.read
    }

    /// Makes a rule set of them, or says what is wrong. As costly as [`rules::load`].
    #[must_use]
    pub fn load(self) -> LoadedRules {
        let options = LoadOptions::of_instance(&self.environment);
        self.load_by(&options)
    }

    fn load_by(self, options: &LoadOptions) -> LoadedRules {
        let loaded = rules::load(&self.read.sources, options);
        let all_read = self.read.problems.is_empty();
        let mut problems = self.read.problems;
        problems.extend(loaded.problems);
        LoadedRules {
            set: loaded.set.filter(|_| all_read),
            problems,
            sources: self.read.sources,
        }
    }
}

impl LoadedRules {
    /// The set and how many warnings there are about it, or what is wrong: a line for each thing, with file, line and column.
    pub(super) fn or_refused(self) -> Result<(RuleSet, usize), String> {
        let of_level = |level| self.problems.iter().filter(move |it| it.level == level);
        if let Some(set) = self.set {
            let warnings = self.problems.len();
            return Ok((set, warnings));
        }
        // A path that holds no rules is only a warning where it is checked.
        let errors: Vec<&Problem> = match of_level(Level::Error).next() {
            Some(_) => of_level(Level::Error).collect(),
            None => self.problems.iter().collect(),
        };
        let mut lines: Vec<String> = errors
            .iter()
            .take(TOLD_MAX)
            .map(|problem| {
                let Problem {
                    code,
                    file,
                    line,
                    column,
                    message,
                    ..
                } = problem;
                format!("{file}:{line}:{column}: {message} [{code}]")
            })
            .collect();
        if errors.len() > TOLD_MAX {
            let more = errors.len() - TOLD_MAX;
            lines.push(format!("and {more} more; `trommel check` shows all"));
        }
        Err(lines.join("\n"))
    }
}

/// Of names, texts and what could not be read.
fn digest(read: &FilesRead) -> Digest {
    let mut hash = Xxh3::new();
    let mut add = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for source in &read.sources {
        add(&source.name);
        add(&source.text);
    }
    for problem in &read.problems {
        add(&problem.file);
        add(&problem.message);
    }
    Digest(hash.digest128())
}
