//! The pictures: well-formed, labelled, and inside of their own frame.

use std::fs;

use crate::common::{assert_nothing_is_clipped, json, number, scratch, shipped, size};
use roxmltree::Document;

/// Draws both pictures of a trace.
fn pictures(name: &str, options: &[&str]) -> [String; 2] {
    let paths = ["plot", "map"].map(|kind| scratch(&format!("{name}-{kind}.svg")));
    let [plot, map] = paths.each_ref().map(|path| path.to_str().unwrap());
    let mut all = vec!["--rounds", "0", "--plot", plot, "--map", map];
    all.extend(options);
    json(&shipped(name), &all);
    paths.map(|path| fs::read_to_string(path).unwrap())
}

fn texts<'d>(document: &'d Document<'_>) -> Vec<&'d str> {
    document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .map(str::trim)
        .collect()
}

fn assert_has(texts: &[&str], words: &[&str]) {
    for word in words {
        assert!(
            texts.iter().any(|text| text.contains(word)),
            "{word:?} in {texts:?}"
        );
    }
}

#[test]
fn the_plot_has_title_axes_units_and_legend() {
    let [plot, _] = pictures("compiler", &["--release-after", "1000"]);
    let document = Document::parse(&plot).unwrap();
    assert_eq!(size(&document).0, 1280.0);
    assert_has(
        &texts(&document),
        &[
            "compiler.pagetrace.gz on PageHeap: memory released when idle for 1,000 ms",
            "trace time in seconds",
            "memory in MiB",
            "in use",
            "idle, resident",
            "released after use",
            "measured resident set",
            // Ticks of either axis.
            "10",
            "100",
        ],
    );
    assert_nothing_is_clipped(&document);
    // Two areas, and three lines or more.
    let count = |name| {
        document
            .descendants()
            .filter(|n| n.has_tag_name(name))
            .count()
    };
    assert!(count("polygon") >= 2 && count("polyline") >= 3);
}

#[test]
fn the_map_has_title_axes_and_legend_and_a_cell_for_every_page() {
    let [_, map] = pictures("compiler", &["--heap", "locked"]);
    let document = Document::parse(&map).unwrap();
    assert_eq!(size(&document).0, 1280.0);
    assert_has(
        &texts(&document),
        &[
            "compiler.pagetrace.gz on LockedHeap: the layout of its pages",
            "One cell is one page (8 KiB)",
            "in use",
            "idle, resident",
            "idle, released",
            "not managed",
            "when the trace ended",
            "after everything idle was released",
            "page within the row",
            "offset",
            "MiB",
        ],
    );
    assert_nothing_is_clipped(&document);
    // In the second grid, as many cells of the colour of use as pages live.
    let cells: f64 = document
        .descendants()
        .filter(|node| node.has_tag_name("rect"))
        .filter(|node| node.attribute("fill") == Some("#0072B2"))
        .filter(|node| number(node, "y") > 150.0 && number(node, "x") > 700.0)
        .map(|node| number(&node, "width") * number(&node, "height") / 16.0)
        .sum();
    assert_eq!(cells, 135.0);
}

#[test]
fn many_pages_share_a_cell_and_the_map_says_so() {
    let [plot, map] = pictures("redis", &[]);
    let document = Document::parse(&map).unwrap();
    assert_has(
        &texts(&document),
        &[
            "One cell is 32 pages (128 KiB)",
            "half in use, half released",
        ],
    );
    assert_nothing_is_clipped(&document);
    assert_nothing_is_clipped(&Document::parse(&plot).unwrap());
}
