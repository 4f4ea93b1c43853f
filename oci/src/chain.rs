//! Chain IDs: one digest for a stack of layers, as the image specification defines it.

use crate::Digest;

/// The chain ID of a stack of layers, base first; `None` for an empty stack.
///
/// The chain ID of one layer is its diff ID; that of more is the SHA-256 of
/// `<chain ID of all but the last> <diff ID of the last>`.
pub fn chain_id(diff_ids: &[Digest]) -> Option<Digest> {
    let (first, rest) = diff_ids.split_first()?;
    Some(
        rest.iter()
            .fold(first.clone(), |chain, diff_id| Digest::sha256_of(format!("{chain} {diff_id}").as_bytes())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_is_its_own_chain() {
        assert_eq!(chain_id(&[]), None);
        let layer = Digest::sha256_of(b"a");
        assert_eq!(chain_id(std::slice::from_ref(&layer)), Some(layer));
    }

    #[test]
    fn order_matters_and_the_join_is_a_space() {
        let (a, b) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        let joined = Digest::sha256_of(format!("{a} {b}").as_bytes());
        assert_eq!(chain_id(&[a.clone(), b.clone()]), Some(joined.clone()));
        assert_ne!(chain_id(&[b.clone(), a.clone()]), Some(joined.clone()));
        let three = Digest::sha256_of(format!("{joined} {a}").as_bytes());
        assert_eq!(chain_id(&[a.clone(), b, a]), Some(three));
    }
}
