//! Making a failing run smaller.

/// Drops steps for as long as what is left still fails: first halves, then ever smaller pieces,
/// then single steps. `fails` must answer the same for the same steps, as a run decided by its
/// seed does.
///
/// Gives back steps of which none can be left out by itself. If the steps don't fail at all, all
/// of them come back.
pub fn shrink<T: Clone>(steps: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut steps = steps.to_vec();
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 && !steps.is_empty() {
        let (mut at, mut dropped) = (0, false);
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + piece).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
                dropped = true;
            } else {
                at += piece;
            }
        }
        if piece == 1 && !dropped {
            break;
        }
        if !dropped || piece > 1 {
            piece = (piece / 2).max(1);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::shrink;

    #[test]
    fn what_is_left_fails_and_nothing_of_it_can_go() {
        let steps: Vec<u32> = (0..40).collect();
        let fails = |steps: &[u32]| steps.contains(&7) && steps.contains(&31);
        assert_eq!(shrink(&steps, fails), [7, 31]);
        // Order matters, and pairs that only fail together stay together.
        let fails = |steps: &[u32]| steps.windows(2).any(|two| two == [12, 13]);
        assert_eq!(shrink(&steps, fails), [12, 13]);
    }

    #[test]
    fn what_does_not_fail_stays_as_it_is() {
        assert_eq!(shrink(&[1, 2, 3], |_| false), [1, 2, 3]);
        assert_eq!(shrink(&[1, 2, 3], |_| true), [0; 0]);
    }
}
