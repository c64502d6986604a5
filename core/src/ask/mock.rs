//! The answer of a model that is none: for measurements, and for trying a client without one.

/// Words of a mock answer: the same whatever was asked, so that runs can be compared.
pub const MOCK_WORDS: usize = 20;

/// `Mock response to: QUESTION`, cut or filled up to [`MOCK_WORDS`] words, each with the space after it.
pub fn mock_answer(question: &str) -> Vec<String> {
    let begin = ["Mock", "response", "to:"].into_iter();
    let fill = ["and", "so", "on"].into_iter().cycle();
    let words = begin.chain(question.split_whitespace()).chain(fill).take(MOCK_WORDS).enumerate();
    words
        .map(|(place, word)| if place + 1 == MOCK_WORDS { word.to_owned() } else { format!("{word} ") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_as_many_words() {
        for question in ["", "What is a shell?", &"word ".repeat(100)] {
            let words = mock_answer(question);
            assert_eq!(words.len(), MOCK_WORDS);
            assert_eq!(words.concat().split(' ').count(), MOCK_WORDS);
        }
        assert!(mock_answer("What is it?").concat().starts_with("Mock response to: What is it? and so on"));
    }
}
