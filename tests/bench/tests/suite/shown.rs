//! What is shown: tables, JSON, the picture, and the targets.

use spanheap_bench::adaptor::{all, name};
use spanheap_bench::figure::Figure;
use spanheap_bench::picture::draw;
use spanheap_bench::results::{Place, Results};
use spanheap_bench::table::Table;
use spanheap_bench::targets::{Bound, Targets, verdicts};

use crate::common::{PAGES, results};

#[test]
fn the_tables_have_a_column_for_every_contender_and_a_row_for_every_work() {
    let text = Table(results()).to_string();
    let (owned, shared) = text.split_once("Shared:").expect("two tables");
    for about in all() {
        let table = if about.shared { shared } else { owned };
        let title = about.name.trim_end_matches("+lock");
        assert!(table.contains(title), "{}:\n{text}", about.name);
    }
    for work in ["W1", "W2", "W3", "W3s", "W4", "W5", "W7", "W8"] {
        assert!(
            owned.lines().any(|line| line.starts_with(work)),
            "{work}:\n{text}"
        );
    }
    assert!(shared.lines().any(|line| line.starts_with("W6")), "{text}");
    assert!(text.contains("0 faults"), "{text}");
}

#[test]
fn the_json_has_every_cell_with_its_samples_and_its_trouble() {
    let json = serde_json::to_value(results().json()).expect("plain values");
    let rows = json["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), results().rows.len());
    let mut troubles = 0;
    for row in rows {
        for key in ["work", "figure", "unit", "place"] {
            assert!(row[key].is_string(), "{row}");
        }
        for cell in row["cells"].as_array().expect("cells") {
            assert!(
                cell["contender"].is_string() && cell["samples"].is_array(),
                "{cell}"
            );
            assert_eq!(
                cell["median"].is_number(),
                cell["trouble"].is_null(),
                "{cell}"
            );
            assert!(cell["least"].as_f64() <= cell["median"].as_f64(), "{cell}");
            troubles += usize::from(cell["trouble"].is_string());
        }
    }
    assert!(troubles > 0);
    let checks = json["checks"].as_array().expect("checks");
    assert!(checks.iter().all(|check| check["faults"] == 0));
}

#[test]
fn the_picture_is_well_formed_and_names_every_contender() {
    let svg = draw(results()).expect("a picture");
    let document = roxmltree::Document::parse(&svg).expect("well-formed XML");
    let texts: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .map(str::trim)
        .collect();
    for about in all() {
        assert!(texts.contains(&about.name), "{}: {texts:?}", about.name);
    }
}

#[test]
fn a_picture_of_nothing_is_a_picture() {
    let svg = draw(&Results::default()).expect("a picture");
    assert!(roxmltree::Document::parse(&svg).is_ok());
}

#[test]
fn without_the_heap_that_they_are_for_there_are_no_targets() {
    assert!(verdicts(results(), "no such heap").is_none());
    let text = Targets(results(), "no such heap").to_string();
    assert_eq!(text, "Targets: no no such heap yet\n");
}

#[test]
fn targets_are_made_of_the_same_results() {
    let verdicts = verdicts(results(), name::LOCKED_HEAP).expect("it took part");
    let place = Place::Range(PAGES);
    let of = |what: &str| {
        let mut found = verdicts.iter();
        found
            .find(|verdict| verdict.figure == Figure::Pair && verdict.what == what)
            .expect("a verdict")
    };
    for (what, other, bound) in [
        ("of a bare pair", name::BARE, 0.8),
        ("of the locked bitmap", name::BITMAP_LOCKED, 0.6),
    ] {
        let verdict = of(what);
        let ratio = results().ratio(&place, Figure::Pair, name::LOCKED_HEAP, other);
        assert_eq!((verdict.found, verdict.bound), (ratio, Some(bound)));
        assert_eq!(verdict.side, Bound::AtMost);
        assert_eq!(verdict.holds, ratio.map(|ratio| ratio <= bound));
    }
    // A first fit has the first fit's refusals.
    let refusals = verdicts
        .iter()
        .find(|verdict| verdict.what == "requests")
        .expect("a verdict");
    assert_eq!(refusals.bound, Some(0.0));
    let measured = verdicts.iter().filter(|verdict| verdict.holds.is_some());
    assert!(measured.count() > 15, "{verdicts:?}");
}
