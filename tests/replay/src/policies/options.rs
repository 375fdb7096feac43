//! What `replay policies` and `replay calibrate` are asked to do.

use std::path::PathBuf;

use clap::Args;

use super::ground::Driven;
use super::prices::Prices;

/// What `replay policies` is asked to do.
#[derive(Clone, Debug, Args)]
pub struct PoliciesOptions {
    /// Traces, .pagetrace.gz files. Without any, and without --drain: churn.
    #[arg(value_name = "TRACE.pagetrace.gz")]
    pub traces: Vec<PathBuf>,

    /// The heap.
    #[arg(long, value_enum, default_value = "shared")]
    pub heap: Driven,

    /// Play churn, too: 512 MiB that come at once, go at once, and come again
    /// after a pause, from 10 ms to 10 s.
    #[arg(long)]
    pub churn: bool,

    /// Play drain, too: 12 GiB that are freed at once, and then nothing.
    #[arg(long)]
    pub drain: bool,

    /// Allow no more than so many MiB to be resident: an allocation beyond it makes
    /// room, or is refused and left out. What that does is told beside the rest.
    #[arg(long, value_name = "MIB", value_parser = limit)]
    pub limit: Option<u64>,

    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,

    /// Draw for each load memory over time, and memory against CPU time, as SVG
    /// in this folder, which is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,

    /// What things cost; `replay calibrate` measures it.
    #[command(flatten)]
    pub prices: PriceOptions,
}

/// Prices, each in microseconds.
#[derive(Clone, Copy, Debug, Args)]
pub struct PriceOptions {
    /// To release a whole huge page of 2 MiB.
    #[arg(long, value_name = "US", default_value = "6", value_parser = price)]
    pub release_huge: u64,
    /// To release a page of 4 KiB.
    #[arg(long, value_name = "US", default_value = "0.4", value_parser = price)]
    pub release_page: u64,
    /// One call that releases.
    #[arg(long, value_name = "US", default_value = "1.4", value_parser = price)]
    pub release_call: u64,
    /// To take back a huge page, zeroed.
    #[arg(long, value_name = "US", default_value = "350", value_parser = price)]
    pub take_huge: u64,
    /// To take back a page of 4 KiB, zeroed.
    #[arg(long, value_name = "US", default_value = "1.8", value_parser = price)]
    pub take_page: u64,
}

impl PriceOptions {
    /// Returns the prices.
    #[must_use]
    pub const fn prices(&self) -> Prices {
        Prices {
            release_huge_ns: self.release_huge,
            release_page_ns: self.release_page,
            release_call_ns: self.release_call,
            take_huge_ns: self.take_huge,
            take_page_ns: self.take_page,
        }
    }
}

/// Reads microseconds, and returns nanoseconds.
fn price(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(us) if (0.0..=1e6).contains(&us) => Ok((us * 1000.0).round() as u64),
        _ => Err("microseconds from 0 to 1,000,000 are needed".into()),
    }
}

/// Reads mebibytes, and returns bytes.
fn limit(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(mib) if (0.0..=MOST_MIB).contains(&mib) => Ok((mib * 1024.0 * 1024.0) as u64),
        _ => Err("MiB from 0 to 1,000,000,000 are needed".into()),
    }
}

/// The highest limit: more than any heap has, and nothing overflows.
const MOST_MIB: f64 = 1e9;

/// What `replay calibrate` is asked to do.
#[derive(Clone, Debug, Args)]
pub struct CalibrateOptions {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,

    /// How many rounds are measured; the median counts.
    #[arg(long, value_name = "N", default_value = "15", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        prices: PriceOptions,
    }

    #[test]
    fn the_options_begin_with_the_usual_prices() {
        let alone = Alone::parse_from(["alone"]);
        assert_eq!(alone.prices.prices(), Prices::default());
    }

    #[test]
    fn a_limit_may_be_nothing_a_part_of_a_mebibyte_or_more_than_there_is() {
        assert_eq!(limit("0"), Ok(0));
        assert_eq!(limit("1.5"), Ok(3 << 19));
        assert_eq!(limit("1e9"), Ok(1_000_000_000 << 20));
        for text in ["-1", "much", "", "nan", "inf", "1e10"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }
}
