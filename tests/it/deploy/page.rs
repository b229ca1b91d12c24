//! `docs/deploy.md`, followed as an operator would.

use super::rendered::root;

#[test]
fn every_path_on_the_page_is_there() {
    let page = std::fs::read_to_string(root().join("docs/deploy.md")).expect("there is a page");
    let ends = |c: char| c.is_whitespace() || "`()[],;:|\"'#<>".contains(c);
    let paths: Vec<_> = page
        .split(ends)
        .map(|word| word.trim_start_matches("../").trim_end_matches('.'))
        .filter(|word| word.starts_with("deploy/"))
        .collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "{path}");
    }
}
