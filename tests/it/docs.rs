//! The examples in `docs/`, run as a reader would run them, in the order of the page.
//!
//! What is done with a block follows from the words after its three backticks:
//!
//! | words | what is done |
//! |---|---|
//! | `yaml rules` | written to the file that its first line names, and given to `trommel check` |
//! | `yaml tests` | the same, and given to `trommel test` |
//! | `yaml mistake` | the same, and `trommel check` must refuse it |
//! | `yaml settings` | read as settings of `run` |
//! | `yaml other` | nothing: it is for another program |
//! | `log NAME` | written to the file |
//! | `console` | each line after `$ ` is run; what it prints must be what follows; with `UPDATE_EXPECT` it is written there |

use std::path::Path;

use trommel::config::{Config, RawConfig};

use crate::support::program;
use crate::support::scratch::Scratch;
use crate::support::trommel::command;

#[test]
fn the_rule_language_is_as_its_page_shows_it() {
    check("docs/rules.md");
}

#[test]
fn the_way_from_a_log_line_to_a_rule_is_as_its_page_tells_it() {
    check("docs/writing-rules.md");
}

#[test]
fn the_rules_that_ship_can_be_changed_as_their_page_shows_it() {
    check("docs/rule-pack.md");
}

#[test]
fn the_settings_of_access_are_as_their_page_shows_them() {
    check("docs/access.md");
}

/// Runs every block of a page, and tells of all that is not as it says.
#[track_caller]
fn check(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).expect("the page is there");
    let reader = Reader {
        folder: Scratch::new(),
    };
    let mut told = String::new();
    let mut wrong = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        told += &format!("{line}\n");
        let Some(words) = line.strip_prefix("```") else {
            continue;
        };
        let content: Vec<_> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        let content = content.join("\n") + "\n";
        let block = reader.block(words, &content);
        if let Err(fault) = &block {
            wrong.push(format!("{page}:{}: {fault}", n + 1));
        }
        told += &block.ok().flatten().unwrap_or(content);
        told += "```\n";
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, told).expect("the page can be written");
    } else {
        assert!(
            told == text,
            "UPDATE_EXPECT=1 brings {page} up to date:\n{told}"
        );
    }
}

/// Somebody who does what a page says.
struct Reader {
    folder: Scratch,
}

impl Reader {
    /// Does what is to be done with a block; what it should read instead, where it shows an output.
    fn block(&self, words: &str, content: &str) -> Result<Option<String>, String> {
        match words.split(' ').collect::<Vec<_>>()[..] {
            ["yaml", "rules"] => self.try_file("check", content, 0),
            ["yaml", "tests"] => self.try_file("test", content, 0),
            ["yaml", "mistake"] => self.try_file("check", content, 1),
            ["yaml", "settings"] => self.try_settings(content),
            ["yaml", "other"] => Ok(None),
            ["log", name] => {
                self.folder.write(name, content);
                Ok(None)
            }
            ["console"] => content
                .lines()
                .filter_map(|line| line.strip_prefix("$ "))
                .map(|line| self.run(line))
                .collect::<Result<String, _>>()
                .map(Some),
            ["yaml", ..] => {
                Err("an example that nothing runs: say `rules`, `tests`, `mistake`, `settings` or `other`".into())
            }
            _ => Ok(None),
        }
    }

    fn try_settings(&self, content: &str) -> Result<Option<String>, String> {
        let file = self.folder.write("settings.yaml", content);
        Config::load(Some(&file), |_| None, &RawConfig::default())
            .map(|_| None)
            .map_err(|error| error.to_string())
    }

    fn try_file(
        &self,
        subcommand: &str,
        content: &str,
        exit: i32,
    ) -> Result<Option<String>, String> {
        let name = content
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .filter(|name| name.ends_with(".yaml"))
            .ok_or("its first line must name its file: `# NAME.yaml`")?;
        self.folder.write(name, content);
        let (printed, code) = self.trommel(&[subcommand, name]);
        if code == Some(exit) {
            Ok(None)
        } else {
            Err(format!(
                "{name}: {subcommand} ended with {code:?}, not {exit}\n{printed}"
            ))
        }
    }

    /// Runs a command line and shows it with what it prints.
    fn run(&self, line: &str) -> Result<String, String> {
        // Single quotes are all that the pages need of a shell.
        let mut words = vec![String::new()];
        for (n, piece) in line.split('\'').enumerate() {
            let last = words.last_mut().expect("there is one from the start");
            if n % 2 == 1 {
                last.push_str(piece);
                continue;
            }
            let mut parts = piece.split(' ');
            last.push_str(parts.next().unwrap_or_default());
            words.extend(parts.map(str::to_owned));
        }
        let words: Vec<_> = words
            .iter()
            .map(String::as_str)
            .filter(|word| !word.is_empty())
            .collect();
        let ["trommel", arguments @ ..] = &words[..] else {
            return Err(format!("`{line}` is no trommel command"));
        };
        let (printed, _) = self.trommel(arguments);
        Ok(format!("$ {line}\n{printed}"))
    }

    /// What a command prints, and its exit code.
    fn trommel(&self, arguments: &[&str]) -> (String, Option<i32>) {
        let output = program::run(
            command().current_dir(self.folder.path("")).args(arguments),
            "",
        );
        let text = [output.stdout, output.stderr].concat();
        let mut text = String::from_utf8(text).expect("output is UTF-8");
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        (text, output.status.code())
    }
}
