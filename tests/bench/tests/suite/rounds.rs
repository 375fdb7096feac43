//! Every contender does every work that it claims, and breaks no rule.

use std::time::Duration;

use spanheap_bench::adaptor::{all, name};
use spanheap_bench::contest::{Lap, run};
use spanheap_bench::figure::{Figure, Full};
use spanheap_bench::options::range;
use spanheap_bench::results::{Place, Results, Trouble};
use spanheap_bench::table::Table;
use spanheap_bench::work::Work;

use crate::common::{PAGES, made_up, results, small, terms};

/// Holds every cell against what its contender says that it can do.
fn all_done(results: &Results) {
    assert_eq!(results.faults(), 0, "{:?}", results.checks);
    for row in &results.rows {
        for cell in &row.cells {
            let what = format!("{}, {}, {}", row.figure, row.place, cell.about.name);
            match &cell.trouble {
                None => {
                    let median = cell.median().unwrap_or(f64::NAN);
                    assert!(median.is_finite() && median >= 0.0, "{what}: {median}");
                }
                Some(Trouble::Unable(why)) => {
                    let about = &cell.about;
                    let expected = match why.as_str() {
                        "single pages only" => !about.runs,
                        "no alignment" => !about.aligns,
                        "takes back whole blocks only" => !about.parts,
                        "as without the lock" => about.name.ends_with("+lock"),
                        _ => false,
                    };
                    assert!(expected, "{what}: {why}");
                }
                Some(why) => panic!("{what}: {why}"),
            }
        }
    }
}

#[test]
fn every_contender_does_every_work_that_it_claims_and_no_page_has_two_owners() {
    let results = results();
    all_done(results);
    let place = Place::Range(PAGES);
    for about in all() {
        let measured = |figure| results.median(&place, figure, about.name).is_some();
        assert!(
            measured(Figure::Pair) && measured(Figure::TurnedLifo),
            "{about:?}"
        );
        assert_eq!(measured(Figure::Mixed(Full(70))), about.runs, "{about:?}");
        assert_eq!(measured(Figure::Huge), about.aligns, "{about:?}");
        assert_eq!(measured(Figure::Pass), about.shared, "{about:?}");
        let mut checks = results.checks.iter();
        let checked = checks.any(|check| check.contender == about.name && check.blocks > 1000);
        assert_eq!(checked, about.remembers, "{about:?}");
    }
}

#[test]
fn a_trace_is_played_by_all_who_can_free_as_it_does() {
    for with_parts in [false, true] {
        let results = run(&[made_up(with_parts)], &terms(), |_, _| {});
        all_done(&results);
        let place = Place::Trace("made-up".into());
        for about in all() {
            let can = about.runs && (about.parts || !with_parts);
            for figure in [Figure::Event, Figure::EventP9999] {
                let played = results.median(&place, figure, about.name).is_some();
                assert_eq!(played, can, "{about:?} {figure}");
            }
            if can && about.remembers {
                let end = results.median(&place, Figure::EventHugeEnd, about.name);
                let mean = results.median(&place, Figure::EventHugeMean, about.name);
                let by_time = results.median(&place, Figure::EventHugeTime, about.name);
                let (end, mean, by_time) = (end.unwrap(), mean.unwrap(), by_time.unwrap());
                // The live pages only become more, and time passes evenly.
                assert!(end <= mean && (mean - by_time).abs() < 0.1, "{about:?}");
            }
        }
    }
}

#[test]
fn what_has_no_rounding_wastes_nothing_and_first_fits_agree() {
    let results = run(&[small(&[Work::Mixed(Full(97))])], &terms(), |_, _| {});
    let place = Place::Range(PAGES);
    for about in all().iter().filter(|about| about.runs && about.remembers) {
        let waste = results.median(&place, Figure::MixedWaste(Full(97)), about.name);
        assert_eq!(waste > Some(0.0), about.rounds, "{about:?}");
    }
    // The same seeds, the same choice of pages: the same refusals.
    let refused = |name| {
        let figure = Figure::MixedRefused(Full(97));
        results
            .cell(&place, figure, name)
            .map(|cell| cell.samples.clone())
    };
    let first_fit = refused(name::FIRST_FIT);
    assert_eq!(first_fit.as_ref().map(Vec::len), Some(5));
    assert_eq!(refused(name::PAGE_HEAP), first_fit);
    assert_eq!(refused(name::FREE_LIST), first_fit);
}

#[test]
fn what_takes_too_long_is_named_and_not_dropped() {
    let mut terms = terms();
    terms.effort.patience = Duration::ZERO;
    terms.contenders = vec![name::NULL.into(), name::BITMAP.into()];
    let mut rounds = 0;
    let results = run(&[small(&[Work::Half])], &terms, |_, lap| {
        rounds += usize::from(matches!(lap, Lap::Round(_)));
    });
    assert_eq!(rounds, 1);
    let place = Place::Range(PAGES);
    for figure in Work::Half.figures() {
        let cell = results.cell(&place, figure, name::BITMAP).expect("a cell");
        assert!(cell.is_late() && cell.median().is_none());
    }
    let text = Table(&results).to_string();
    assert!(text.contains("DNF"), "{text}");
    assert!(
        text.contains("bitmap: filling the range, 256 of 8192"),
        "{text}"
    );
}

#[test]
fn who_was_too_slow_is_not_asked_for_something_harder() {
    let mut terms = terms();
    terms.effort.patience = Duration::ZERO;
    terms.contenders = vec![name::BITMAP.into(), name::BITMAP_LOCKED.into()];
    let works = [Work::Bulk];
    let larger = range(2 * PAGES, PAGES, works.to_vec()).expect("a small range");
    let results = run(&[small(&works), larger], &terms, |_, _| {});
    let trouble = |pages, name| {
        let cell = results
            .cell(&Place::Range(pages), Figure::Fill, name)
            .expect("a cell");
        assert!(cell.is_late());
        cell.trouble.as_ref().map(ToString::to_string)
    };
    let not_tried = |why: &str| Some(format!("not tried: too slow {why}"));
    assert!(trouble(PAGES, name::BITMAP) != not_tried("without the lock"));
    assert_eq!(
        trouble(PAGES, name::BITMAP_LOCKED),
        not_tried("without the lock")
    );
    assert_eq!(trouble(2 * PAGES, name::BITMAP), not_tried("in 8192 pages"));
}

#[test]
fn only_those_who_were_named_take_part() {
    let mut terms = terms();
    terms.contenders = vec![name::OFFSET.into()];
    let results = run(&[small(&[Work::Hot, Work::PairTwo])], &terms, |_, _| {});
    let names: Vec<_> = results.rows.iter().map(|row| row.cells.len()).collect();
    assert_eq!(names, [1, 1]);
}
