//! What the filter needs of a proxy changes only where somebody says so.

use std::collections::BTreeSet;

use serinus_host_tests::module;

const LISTED: &str = include_str!("../../imports.txt");
const DOCUMENT: &str = include_str!("../../../../docs/versions.md");

fn listed() -> BTreeSet<&'static str> {
    LISTED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect()
}

#[test]
fn the_filter_imports_what_is_listed_and_no_more() {
    let imported: BTreeSet<&str> = module::filter()
        .imports()
        .map(|import| import.name())
        .collect();
    assert_eq!(imported, listed(), "imports.txt says what to do");
}

#[test]
fn the_document_names_every_import() {
    let undocumented: Vec<&str> = listed()
        .into_iter()
        .filter(|name| !DOCUMENT.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(undocumented, Vec::<&str>::new());
}
