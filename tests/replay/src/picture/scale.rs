//! Axes that people read: round steps in binary units, and no more than ten.

/// A unit of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
}

const UNITS: [Unit; 5] = [
    unit("TiB", 40),
    unit("GiB", 30),
    unit("MiB", 20),
    unit("KiB", 10),
    unit("bytes", 0),
];

const fn unit(name: &'static str, shift: u32) -> Unit {
    Unit {
        name,
        bytes: 1 << shift,
    }
}

/// Returns the unit in which `bytes` is a number from 2 to about two thousand.
pub(crate) fn unit_for(bytes: u64) -> Unit {
    let fits = |unit: &&Unit| bytes >= 2 * unit.bytes;
    *UNITS.iter().find(fits).unwrap_or(&UNITS[4])
}

/// Returns the largest unit in which `bytes` is a whole number.
pub(crate) fn whole_unit(bytes: u64) -> Unit {
    let divides = |unit: &&Unit| bytes.is_multiple_of(unit.bytes) && bytes > 0;
    *UNITS.iter().find(divides).unwrap_or(&UNITS[4])
}

/// Returns the smallest of 1, 2 or 5 times a power of ten that divides
/// `0..=max` into no more than `most` steps.
pub(crate) fn step(max: f64, most: u32) -> f64 {
    let least = max / f64::from(most.max(1));
    if least.is_nan() || least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    // The last is for a quotient that rounding put a hair above 10.
    for factor in [1.0, 2.0, 5.0, 10.0] {
        if factor * power >= least {
            return factor * power;
        }
    }
    20.0 * power
}

/// Writes a number, not negative, with as many decimals as its step has.
pub(crate) fn number(value: f64, step: f64) -> String {
    if step >= 1.0 {
        return grouped(value.round() as u64);
    }
    let decimals = (-step.log10()).ceil().clamp(1.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// Writes a count with commas between thousands.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_keeps_numbers_short() {
        assert_eq!(unit_for(0).name, "bytes");
        assert_eq!(unit_for(5 << 20).name, "MiB");
        assert_eq!(unit_for((2 << 30) - 1).name, "MiB");
        assert_eq!(unit_for(2 << 30).name, "GiB");
        assert_eq!(unit_for(u64::MAX).name, "TiB");
        assert_eq!(whole_unit(0).name, "bytes");
        assert_eq!(whole_unit(128 << 10).name, "KiB");
        assert_eq!(whole_unit(3 << 30).name, "GiB");
    }

    #[test]
    fn steps_are_round_and_few() {
        for (max, expected) in [
            (10.0, 1.0),
            (12.3, 2.0),
            (40.1, 5.0),
            (1239.0, 200.0),
            (0.7, 0.1),
        ] {
            let step = step(max, 10);
            assert!((step - expected).abs() < 1e-9, "{max}: {step}");
        }
        assert_eq!(step(0.0, 10), 1.0);
        assert_eq!(step(f64::NAN, 10), 1.0);
    }

    #[test]
    fn numbers_have_the_decimals_of_their_step() {
        assert_eq!(number(3.0, 1.0), "3");
        assert_eq!(number(1200.0, 200.0), "1,200");
        assert_eq!(number(0.5, 0.1), "0.5");
        assert_eq!(number(0.05, 0.05), "0.05");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
