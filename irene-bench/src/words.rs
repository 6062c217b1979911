//! Words of four letters that most tokenizers have as one token each: prompts of equal numbers of words have about equal numbers of tokens.

pub(crate) const WORDS: [&str; 256] = [
    "able", "acid", "aged", "also", "area", "army", "away", "baby", "back", "ball", "band", "bank", "base", "bath",
    "bear", "beat", "been", "beer", "bell", "belt", "best", "bill", "bird", "blow", "blue", "boat", "body", "bond",
    "bone", "book", "boom", "born", "boss", "both", "bowl", "bulk", "burn", "bush", "busy", "cake", "call", "calm",
    "came", "camp", "card", "care", "case", "cash", "cast", "cell", "chat", "chip", "city", "club", "coal", "coat",
    "code", "cold", "come", "cook", "cool", "cope", "copy", "core", "cost", "crew", "crop", "dark", "data", "date",
    "dawn", "days", "dead", "deal", "dear", "debt", "deep", "deny", "desk", "diet", "dirt", "dish", "disk", "does",
    "done", "door", "down", "draw", "drew", "drop", "drug", "dual", "duke", "dust", "duty", "each", "earn", "ease",
    "east", "easy", "edge", "else", "even", "ever", "evil", "exit", "face", "fact", "fail", "fair", "fall", "farm",
    "fast", "fate", "fear", "feed", "feel", "feet", "fell", "felt", "file", "fill", "film", "find", "fine", "fire",
    "firm", "fish", "five", "flat", "flow", "food", "foot", "form", "fort", "four", "free", "from", "fuel", "full",
    "fund", "gain", "game", "gate", "gave", "gear", "gift", "girl", "give", "glad", "goal", "goes", "gold", "golf",
    "gone", "good", "gray", "grew", "grow", "gulf", "hair", "half", "hall", "hand", "hang", "hard", "harm", "hate",
    "have", "head", "hear", "heat", "held", "help", "here", "hero", "high", "hill", "hire", "hold", "hole", "holy",
    "home", "hope", "host", "hour", "huge", "hung", "hunt", "hurt", "idea", "inch", "into", "iron", "item", "join",
    "jump", "just", "keep", "kept", "kick", "kind", "king", "knee", "knew", "know", "lack", "lady", "laid", "lake",
    "land", "lane", "last", "late", "lead", "left", "less", "life", "lift", "like", "line", "link", "list", "live",
    "load", "loan", "lock", "long", "look", "lord", "lose", "loss", "lost", "love", "luck", "made", "mail", "main",
    "make", "male", "many", "mark", "mass", "meal", "mean", "meat", "meet", "menu", "mile", "milk", "mind", "mine",
    "miss", "mode", "moon", "more",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_there_once_and_has_four_letters() {
        assert!(WORDS.windows(2).all(|pair| pair[0] < pair[1]) && WORDS.iter().all(|word| word.len() == 4));
    }
}
