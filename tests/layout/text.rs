//! Layouts and hook calls as text, and how two layouts differ.

use spanheap::backing::fake::Call;
use spanheap::{PageRange, SpanInfo, SpanState};

/// A run of pages in one state. The states are letters: `U`, `r`, `s`, `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) state: char,
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Piece {
    pub(super) const fn end(&self) -> u32 {
        self.start + self.len
    }
}

impl From<&SpanInfo> for Piece {
    fn from(info: &SpanInfo) -> Self {
        Self {
            state: match info.state {
                SpanState::InUse => 'U',
                SpanState::Resident => 'r',
                SpanState::Released => 's',
                SpanState::Detached => 'D',
                _ => '?',
            },
            start: info.range.start().number(),
            len: info.range.count().get(),
        }
    }
}

/// Reads a layout: its regions, each with its pieces.
pub(super) fn regions(layout: &str) -> Vec<Vec<Piece>> {
    let mut regions = vec![Vec::new()];
    let mut page = 0;
    for word in layout.split_whitespace() {
        let (state, len) = word.split_at(1);
        let len = || -> u32 { len.parse().expect("a state and a number of pages") };
        match state {
            "|" => regions.push(Vec::new()),
            "-" => {
                regions.push(Vec::new());
                page += len();
            }
            "U" | "r" | "s" | "D" => {
                let piece = Piece {
                    state: state.chars().next().expect("one letter"),
                    start: page,
                    len: len(),
                };
                page = piece.end();
                regions.last_mut().expect("one at least").push(piece);
            }
            _ => panic!("{word:?} is no part of a layout"),
        }
    }
    regions.retain(|region| !region.is_empty());
    regions
}

/// Reads a layout as the spans it is made of.
pub(super) fn pieces(layout: &str) -> Vec<Piece> {
    regions(layout).into_iter().flatten().collect()
}

/// Writes a layout.
pub(super) fn layout(pieces: &[Piece]) -> String {
    let mut words = Vec::new();
    let mut page = 0;
    for piece in pieces {
        if piece.start != page {
            words.push(format!("-{}", piece.start.wrapping_sub(page)));
        }
        words.push(format!("{}{}", piece.state, piece.len));
        page = piece.end();
    }
    words.join(" ")
}

/// Says where two layouts differ, by ranges of pages.
pub(super) fn difference(expected: &[Piece], found: &[Piece]) -> String {
    let end = |pieces: &[Piece]| pieces.last().map_or(0, Piece::end);
    // A page's state, and whether a span begins there.
    let at = |pieces: &[Piece], page: u32| {
        pieces
            .iter()
            .find(|piece| (piece.start..piece.end()).contains(&page))
            .map_or(('-', false), |piece| (piece.state, piece.start == page))
    };
    let mut lines = Vec::new();
    let mut run: Option<(u32, char, char)> = None;
    let close = |lines: &mut Vec<String>, run: Option<(u32, char, char)>, page: u32| {
        if let Some((start, expected, found)) = run {
            lines.push(format!(
                "  pages {start}..{page}: expected {expected}, found {found}"
            ));
        }
    };
    for page in 0..end(expected).max(end(found)) {
        let ((want, want_start), (have, have_start)) = (at(expected, page), at(found, page));
        if run.is_some_and(|(_, a, b)| (a, b) != (want, have)) {
            close(&mut lines, run.take(), page);
        }
        if want != have {
            run = run.or(Some((page, want, have)));
        } else if want_start != have_start {
            let (expected, found) = if want_start { ("a", "no") } else { ("no", "a") };
            lines.push(format!(
                "  page {page}: expected {expected} span to begin, found {found} border"
            ));
        }
    }
    close(&mut lines, run, end(expected).max(end(found)));
    format!(
        "  expected  {}\n  found     {}\n{}",
        layout(expected),
        layout(found),
        lines.join("\n")
    )
}

fn ranges(ranges: &[PageRange]) -> String {
    let words: Vec<_> = ranges.iter().map(|range| format!("{range:?}")).collect();
    words.join(" ")
}

/// Writes hook calls: `used 0..3; unused 4..8 12..16 did 1; zero 0..3; grow 5 by 8..16`.
pub(super) fn hooks(calls: &[Call]) -> String {
    let words: Vec<_> = calls
        .iter()
        .map(|call| match call {
            Call::Used { range, refused } => {
                format!("used {range:?}{}", if *refused { " refused" } else { "" })
            }
            Call::Unused { ranges: all, done } if *done == all.len() => {
                format!("unused {}", ranges(all))
            }
            Call::Unused { ranges: all, done } => format!("unused {} did {done}", ranges(all)),
            Call::Zero(range) => format!("zero {range:?}"),
            Call::Grow { pages, growth } => match growth {
                Some(growth) => format!("grow {} by {:?}", pages.get(), growth.range),
                None => format!("grow {} by none", pages.get()),
            },
        })
        .collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_read_as_it_is_written() {
        let text = "U3 r5 -4 s8 D1";
        assert_eq!(layout(&pieces(text)), text);
        assert_eq!(regions("r4 | s4 -2 U1").len(), 3);
        assert_eq!(layout(&pieces("r4 | s4")), "r4 s4");
    }

    #[test]
    fn two_layouts_differ_in_ranges_and_in_borders() {
        let of = |expected, found| difference(&pieces(expected), &pieces(found));
        let text = of("U3 r5 s8", "U3 r7 s6");
        assert!(text.contains("pages 8..10: expected s, found r"), "{text}");
        let text = of("U3 r5", "U3 r2 r3");
        assert!(
            text.contains("page 5: expected no span to begin, found a border"),
            "{text}"
        );
        let text = of("U3", "U3 r5");
        assert!(text.contains("pages 3..8: expected -, found r"), "{text}");
    }
}
