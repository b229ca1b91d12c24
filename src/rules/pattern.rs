//! Regular expressions over bytes.

use regex_automata::meta::{Config, Regex};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::model::Pattern;

impl Pattern {
    /// Compiles `source`, unanchored, over bytes.
    ///
    /// # Errors
    /// A message for people when it does not compile.
    pub fn compile(source: &str, ignore_case: bool) -> Result<Self, String> {
        let hir = parse(source, ignore_case)?;
        let regex = Regex::builder()
            .configure(Config::new().utf8_empty(false))
            .build_from_hir(&hir)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            source: source.to_owned(),
            ignore_case,
            regex,
        })
    }

    /// The expression's parsed form: exactly what [`Pattern::regex`] was compiled from.
    #[must_use]
    pub fn hir(&self) -> Hir {
        parse(&self.source, self.ignore_case).expect("it was parsed when it was compiled")
    }
}

fn parse(source: &str, ignore_case: bool) -> Result<Hir, String> {
    ParserBuilder::new()
        .utf8(false)
        .unicode(!ignore_case)
        .case_insensitive(ignore_case)
        .build()
        .parse(source)
        .map_err(|error| error.to_string())
}
