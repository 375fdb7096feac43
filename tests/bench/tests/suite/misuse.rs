//! Wrong frees under callgrind, where valgrind is installed.

use std::path::Path;

use spanheap_bench::misuse::{Kind, WAYS, Way, run};
use spanheap_bench::options::COUNTED_PAGES;

#[test]
#[ignore = "half a minute under callgrind, for `tests/run full`"]
fn what_the_last_check_refuses_takes_less_than_a_good_free() {
    let program = Path::new(env!("CARGO_BIN_EXE_bench"));
    let checks = match run(program, COUNTED_PAGES, |_| {}) {
        Err(why) if why.contains("not installed") => {
            eprintln!("skipped: {why}");
            return;
        }
        checks => checks.expect("callgrind counts"),
    };
    for way in WAYS {
        let (refused, good) = checks.bound(way).expect("both are counted");
        // A shared page is looked at twice before it is refused.
        let is_bound = refused < good || way == Way::Page;
        assert!(refused > 0 && is_bound, "{checks}");
    }
    assert_eq!(checks.get(Way::Address, Kind::Foreign), None, "{checks}");
    assert!(checks.get(Way::Handle, Kind::Foreign).is_some(), "{checks}");
    let json = serde_json::to_value(&checks).expect("plain values");
    assert!(json["rows"]["Good"]["Handle"].is_u64(), "{json}");
    println!("{}", checks.figures());
}
