//! Keys of names that were hashed before.

/// Remembers the keys of names, since the same ones come again and again. What it says rests on the names'
/// bytes alone; one that shares its place with another is only hashed again.
#[derive(Debug)]
pub(super) struct KnownNames {
    slots: Vec<Slot>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    first: String,
    second: String,
    /// How often it was taken.
    turn: u32,
    /// `None` as long as it isn't hashed yet.
    key: Option<[u8; 16]>,
}

/// Where a key is to be put once it is hashed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    slot: usize,
    turn: u32,
}

impl KnownNames {
    /// With room for so many, a power of two.
    pub(super) fn new(room: usize) -> Self {
        Self {
            slots: vec![Slot::default(); room],
        }
    }

    /// The key of a pair of names; or the place at which it is to be [put](Self::put).
    pub(super) fn find(&mut self, first: &str, second: &str) -> Result<[u8; 16], Place> {
        let at = mix(mix(1, first), second) as usize & self.slots.len().saturating_sub(1);
        let nowhere = Place { slot: at, turn: 0 };
        let slot = self.slots.get_mut(at).ok_or(nowhere)?;
        if slot.second != second || slot.first != first {
            slot.turn = slot.turn.wrapping_add(1);
            slot.key = None;
            slot.first.clear();
            slot.first.push_str(first);
            slot.second.clear();
            slot.second.push_str(second);
        }
        let turn = slot.turn;
        slot.key.ok_or(Place { slot: at, turn })
    }

    /// Remembers a key, unless other names have taken its place meanwhile.
    pub(super) fn put(&mut self, place: Place, key: [u8; 16]) {
        let slot = self.slots.get_mut(place.slot);
        if let Some(slot) = slot.filter(|slot| slot.turn == place.turn) {
            slot.key = Some(key);
        }
    }
}

/// Spreads names over the places; nothing rests on it but time.
fn mix(seed: u64, name: &str) -> u64 {
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let words = words.iter().chain(Some(&last));
    let hash = words.fold(seed, |hash, word| {
        let mixed = hash ^ u64::from_le_bytes(*word);
        mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_its_own_names_whatever_shares_their_place() {
        // One slot for all.
        let mut known = KnownNames::new(1);
        let first = known.find("bank", "account-1").unwrap_err();
        assert!(known.find("bank", "account-1").is_err(), "not hashed yet");
        known.put(first, [1; 16]);
        assert_eq!(known.find("bank", "account-1").ok(), Some([1; 16]));
        for (scope, entity) in [("bank", "account-2"), ("ban", "kaccount-1"), ("bank", "")] {
            let place = known.find(scope, entity).unwrap_err();
            let other = known.find("bank", "account-1").unwrap_err();
            known.put(place, [2; 16]);
            assert!(known.find("bank", "account-1").is_err(), "{scope}/{entity}");
            known.put(other, [1; 16]);
            assert_eq!(known.find("bank", "account-1").ok(), Some([1; 16]));
        }
    }
}
