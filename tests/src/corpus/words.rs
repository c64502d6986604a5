//! Sentences that look like English to tokenisers, language guessers and phrase finders, from a seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const PREFIXES: [&str; 12] =
    ["", "re", "con", "trans", "in", "per", "sub", "de", "pre", "inter", "over", "un"];
const ROOTS: [&str; 32] = [
    "form", "port", "struct", "duct", "press", "tract", "serv", "scrib", "spect", "vert", "mit", "cept",
    "sign", "plant", "measur", "record", "market", "garden", "water", "light", "bridg", "harbour", "engin",
    "letter", "paper", "field", "storm", "travel", "season", "village", "number", "window",
];
const SUFFIXES: [&str; 9] = ["", "ing", "er", "ation", "ed", "able", "s", "ment", "ly"];
const LINKS: [&str; 30] = [
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "was", "on", "with", "as", "by", "at",
    "from", "this", "which", "are", "when", "after", "before", "between", "because", "while", "their",
    "every", "not", "more",
];

/// Names that occur in every document of the growth measurement, as a company's own words do.
pub const HUBS: [&str; 50] = [
    "Northern River Commission",
    "Harbour Trust Office",
    "Elmwood Research Council",
    "Granite Valley Railway",
    "Silver Lake Observatory",
    "Western Grain Exchange",
    "Blue Hill Academy",
    "Maple Street Library",
    "Coastal Survey Bureau",
    "Iron Gate Foundry",
    "Amber Field Society",
    "Central Weather Institute",
    "Old Town Archive",
    "Stone Bridge Company",
    "Green Meadow Cooperative",
    "Royal Botanic Assembly",
    "Eastern Timber Union",
    "White Cliff Station",
    "Golden Mill Works",
    "Hollow Creek Mission",
    "Upper Delta Authority",
    "Falcon Ridge Laboratory",
    "Crystal Spring Foundation",
    "Red Barn Theatre",
    "Pioneer Postal Service",
    "Twin Oaks Hospital",
    "Lower Marsh Committee",
    "Summit Peak Club",
    "Cedar Grove College",
    "Long Shore Fishery",
    "Bright Star Press",
    "Quiet Forest Reserve",
    "Grand Canal Board",
    "Winter Garden Museum",
    "Copper Canyon Mine",
    "Open Plain Ranch",
    "Seven Springs Inn",
    "Black Pine Agency",
    "Rose Hill Orchard",
    "High Tower Bank",
    "Deep Water Terminal",
    "Sandy Point Lighthouse",
    "New Haven Registry",
    "South Gate Market",
    "Clear Sky Airline",
    "Wild Heather Trust",
    "Broad Street Chamber",
    "Little Falls Brewery",
    "Morning Dew Dairy",
    "Last Mile Courier",
];

/// A source of text with a vocabulary of 3,456 words, used as often as their rank says (Zipf).
pub struct Writer {
    random: StdRng,
    words: Vec<String>,
    cumulative: Vec<f64>,
}

impl Writer {
    /// A writer whose text depends on the seed alone.
    pub fn new(seed: u64) -> Self {
        let mut words = Vec::with_capacity(PREFIXES.len() * ROOTS.len() * SUFFIXES.len());
        for suffix in SUFFIXES {
            for prefix in PREFIXES {
                words.extend(ROOTS.iter().map(|root| format!("{prefix}{root}{suffix}")));
            }
        }
        // One fixed shuffle, so that rank says nothing of form; the same for every seed.
        let mut shuffle = StdRng::seed_from_u64(1);
        for at in (1..words.len()).rev() {
            words.swap(at, shuffle.random_range(0..=at));
        }
        let mut sum = 0.0;
        let cumulative = (0..words.len())
            .map(|rank| {
                sum += 1.0 / (rank as f64 + 2.7);
                sum
            })
            .collect();
        Self { random: StdRng::seed_from_u64(seed), words, cumulative }
    }

    fn word(&mut self) -> &str {
        let top = self.cumulative.last().copied().unwrap_or(0.0);
        let at = self.random.random_range(0.0..top);
        let rank = self.cumulative.partition_point(|&sum| sum <= at);
        &self.words[rank.min(self.words.len() - 1)]
    }

    /// One sentence of 8 to 18 words.
    pub fn sentence(&mut self) -> String {
        let count = self.random.random_range(8..=18);
        let mut sentence = String::new();
        for place in 0..count {
            if place > 0 {
                sentence.push(' ');
            }
            if place % 2 == 0 && place + 1 < count {
                sentence.push_str(LINKS[self.random.random_range(0..LINKS.len())]);
            } else {
                sentence.push_str(self.word());
            }
        }
        sentence.push('.');
        capitalised(&sentence)
    }

    fn heading(&mut self) -> String {
        let count = self.random.random_range(2..=4);
        let words: Vec<String> = (0..count).map(|_| capitalised(self.word())).collect();
        words.join(" ")
    }

    /// Sentences without structure, at least `bytes` of them.
    pub fn prose(&mut self, bytes: usize) -> String {
        let mut text = self.sentence();
        while text.len() < bytes {
            text.push(' ');
            text.push_str(&self.sentence());
        }
        text
    }

    /// Headings and paragraphs separated by empty lines, a little over `bytes` long.
    pub fn document(&mut self, bytes: usize) -> String {
        let mut text = self.heading();
        self.fill(&mut text, bytes);
        text
    }

    /// As [`Writer::document`], with every one of [`HUBS`] in it.
    pub fn hub_document(&mut self, bytes: usize) -> String {
        let mut text = self.heading();
        for (number, pair) in HUBS.chunks(2).enumerate() {
            text.push_str(if number % 5 == 0 { "\n\n" } else { " " });
            let verb = self.word().to_owned();
            let object = self.word().to_owned();
            let line = format!("In {verb} the {} met the {} about {object}.", pair[0], pair[1]);
            text.push_str(&line);
        }
        self.fill(&mut text, bytes);
        text
    }

    /// Appends paragraphs, and a heading before every fourth.
    fn fill(&mut self, text: &mut String, bytes: usize) {
        let mut paragraphs = 0;
        while text.len() < bytes {
            if paragraphs % 4 == 3 {
                text.push_str("\n\n");
                text.push_str(&self.heading());
            }
            text.push_str("\n\n");
            for sentence in 0..self.random.random_range(3..=7) {
                if sentence > 0 {
                    text.push(' ');
                }
                text.push_str(&self.sentence());
                if text.len() >= bytes {
                    break;
                }
            }
            paragraphs += 1;
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
