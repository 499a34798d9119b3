//! The colours of all pictures. That what is written in them can be read, a test checks.

use super::{Flow, Kind};

/// The ink of all pictures, and the paper: they have their own, since the page may be dark.
pub(super) const INK: &str = "#1f2328";
pub(super) const PAPER: &str = "#ffffff";

/// Colours of a node: `line` can be read on `fill`, and each on [`PAPER`].
pub(super) struct Colours {
    pub(super) fill: &'static str,
    pub(super) line: &'static str,
}

impl Kind {
    /// How nodes of this kind are coloured.
    pub(super) fn colours(self) -> Colours {
        let (fill, line) = match self {
            Kind::Source => ("#e6f0fb", "#1d5a9e"),
            Kind::Sink => ("#e4f4ea", "#1b6b3f"),
            Kind::Model => ("#f0e9fb", "#63379b"),
            Kind::Block => ("#fdebe8", "#ad241c"),
            Kind::Log => ("#e0f3f4", "#0b646b"),
            Kind::Validate => ("#fff0dd", "#8f4d00"),
            Kind::Jq | Kind::Lookup | Kind::Join | Kind::Place => ("#faf3d8", "#6d5500"),
            Kind::Limit | Kind::Skip | Kind::Sample => ("#edeff2", "#495462"),
        };
        Colours { fill, line }
    }
}

impl Flow {
    /// The colour of its arrow.
    pub(super) fn colour(self) -> &'static str {
        match self {
            Flow::Records => "#57606a",
            Flow::Blocked => Kind::Block.colours().line,
            Flow::Logged => Kind::Log.colours().line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_a_colour_can_be_read() {
        /// How bright a colour is to the eye (WCAG 2.2, "relative luminance").
        fn luminance(colour: &str) -> f64 {
            let part = |at: usize| {
                let part = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        }
        let check = |ink: &str, paper: &str| {
            let [ink_luminance, paper_luminance] = [ink, paper].map(luminance);
            let contrast = (paper_luminance + 0.05) / (ink_luminance + 0.05);
            assert!(contrast >= 4.5, "{ink} on {paper}: {contrast:.1}"); // level AA
        };
        for kind in Kind::ALL {
            let Colours { fill, line } = kind.colours();
            check(line, fill);
            check(line, PAPER);
            check(INK, fill);
        }
        for flow in [Flow::Records, Flow::Blocked, Flow::Logged] {
            check(flow.colour(), PAPER);
        }
    }
}
