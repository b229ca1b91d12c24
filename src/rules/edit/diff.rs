//! What differs between two texts, as `diff -u` writes it.

use similar::TextDiff;

/// Lines that are shown around what differs, as everywhere.
const CONTEXT: usize = 3;

/// What turns `old` into `new`, for `patch -p1` and `git apply`; `file` is the path from where these run. Without an `old` the file
/// is new. Empty where nothing differs.
#[must_use]
pub fn unified(file: &str, old: Option<&str>, new: &str) -> String {
    let (before, after) = (format!("a/{file}"), format!("b/{file}"));
    let before = match old {
        Some(_) => &*before,
        None => "/dev/null",
    };
    TextDiff::from_lines(old.unwrap_or_default(), new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(before, &after)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_what_patch_takes() {
        expect_test::expect![[r"
            --- a/a.yaml
            +++ b/a.yaml
            @@ -1,2 +1,2 @@
             rules:
            -  - id: a
            \ No newline at end of file
            +  - id: b
        "]]
        .assert_eq(&unified(
            "a.yaml",
            Some("rules:\n  - id: a"),
            "rules:\n  - id: b\n",
        ));
        assert!(
            unified("a.yaml", None, "rules: []\n")
                .starts_with("--- /dev/null\n+++ b/a.yaml\n@@ -0,0 +1 @@\n")
        );
        assert_eq!(unified("a.yaml", Some("a"), "a"), "");
    }
}
