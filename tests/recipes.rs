//! The policies of docs/recipes are good, and the list of pages has all of them.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod tool;

use std::collections::BTreeMap;
use std::path::Path;
use tool::serinus;

const PAGES: &str = "docs/recipes";

/// The pages by their file's name.
fn pages() -> BTreeMap<String, String> {
    let files = Path::new(PAGES).read_dir().unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| {
            let text = std::fs::read_to_string(Path::new(PAGES).join(&name)).unwrap();
            (name, text)
        })
        .collect()
}

/// The blocks of YAML of a page.
fn blocks(page: &str) -> Vec<&str> {
    let starts = page.split("```yaml\n").skip(1);
    starts
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// A policy has routes or flags; what else is YAML in the pages is a proxy's.
fn is_policy(block: &&&str) -> bool {
    let parts = ["name: ", "routes:", "flags:"];
    let has = |line: &str| parts.iter().any(|part| line.starts_with(part));
    // A patch is no policy by itself: the recipe's own test applies it to the step before.
    block.lines().any(has) && !block.contains("a patch of")
}

#[test]
fn every_policy_of_every_page_is_good() {
    let mut seen = 0;
    for (name, page) in pages() {
        for block in blocks(&page).iter().filter(is_policy) {
            let done = serinus(&["check", "-"], block);
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            assert_eq!(
                (done.status.code(), &*said),
                (Some(0), ""),
                "{name}: {block}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen} policies found");
}

#[test]
fn the_list_of_recipes_has_every_page() {
    let pages = pages();
    let list = &pages["README.md"];
    for name in pages.keys().filter(|name| *name != "README.md") {
        assert!(list.contains(&format!("]({name})")), "{name} is not listed");
    }
}
