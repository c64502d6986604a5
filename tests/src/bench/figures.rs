//! Measured figures, what they have to be, and how they are printed.

use std::fmt;

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    Above(f64),
    None,
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Figure {
    name: String,
    value: f64,
    bound: Bound,
}

impl Figure {
    /// True where it is what it has to be; what is not a number never is.
    pub fn holds(&self) -> bool {
        match self.bound {
            Bound::AtLeast(bound) => self.value >= bound,
            Bound::AtMost(bound) => self.value <= bound,
            Bound::Below(bound) => self.value < bound,
            Bound::Above(bound) => self.value > bound,
            Bound::None => true,
        }
    }
}

/// Figures in the order they were measured.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// A figure that has to be at least `bound`.
    pub fn at_least(&mut self, name: &str, value: f64, bound: f64) {
        self.push(name, value, Bound::AtLeast(bound));
    }

    /// A figure that has to be at most `bound`.
    pub fn at_most(&mut self, name: &str, value: f64, bound: f64) {
        self.push(name, value, Bound::AtMost(bound));
    }

    /// A figure that has to be less than `bound`.
    pub fn below(&mut self, name: &str, value: f64, bound: f64) {
        self.push(name, value, Bound::Below(bound));
    }

    /// A figure that has to be more than `bound`.
    pub fn above(&mut self, name: &str, value: f64, bound: f64) {
        self.push(name, value, Bound::Above(bound));
    }

    /// A figure that is only told.
    pub fn told(&mut self, name: &str, value: f64) {
        self.push(name, value, Bound::None);
    }

    fn push(&mut self, name: &str, value: f64, bound: Bound) {
        let figure = Figure { name: name.to_owned(), value, bound };
        eprintln!("{}{}", row(&figure), if figure.holds() { "" } else { "  falls short" });
        self.0.push(figure);
    }

    /// Those that fall short.
    pub fn short(&self) -> Vec<&str> {
        self.0.iter().filter(|figure| !figure.holds()).map(|figure| figure.name.as_str()).collect()
    }

    /// `key=value …`.
    pub fn line(&self) -> String {
        let pairs: Vec<_> =
            self.0.iter().map(|figure| format!("{}={}", figure.name, number(figure.value))).collect();
        pairs.join(" ")
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for figure in &self.0 {
            let verdict = match (figure.bound, figure.holds()) {
                (Bound::None, _) => "",
                (_, true) => "ok",
                (_, false) => "SHORT",
            };
            writeln!(formatter, "{}  {verdict}", row(figure))?;
        }
        Ok(())
    }
}

fn row(figure: &Figure) -> String {
    let bound = match figure.bound {
        Bound::AtLeast(bound) => format!(">= {}", number(bound)),
        Bound::AtMost(bound) => format!("<= {}", number(bound)),
        Bound::Below(bound) => format!("< {}", number(bound)),
        Bound::Above(bound) => format!("> {}", number(bound)),
        Bound::None => String::new(),
    };
    format!("{:28} {:>12}  {bound:>10}", figure.name, number(figure.value))
}

fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        large if large >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_judged_and_printed() {
        let mut figures = Figures::default();
        figures.at_least("rate", 512.34, 500.0);
        figures.below("wait_s", 3.0, 3.0);
        figures.at_most("calls", f64::NAN, 3.0);
        figures.told("share", 0.25);
        assert_eq!(figures.short(), ["wait_s", "calls"]);
        assert_eq!(figures.line(), "rate=512.3 wait_s=3 calls=NaN share=0.250");
    }
}
