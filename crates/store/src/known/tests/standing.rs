use super::{super::Standing, *};

fn with(sizes: &[u64]) -> KnownJournal {
    let checkpoints = sizes.iter().map(|size| TRUE.checkpoint(1, *size)).collect();
    KnownJournal {
        checkpoints,
        ..journal(1, "/a")
    }
}

fn check(sizes: &[u64], size: u64, history: History, expect: Standing) {
    let standing = Standing::compare(&with(sizes), size, |at| {
        assert!(at <= size, "asked for a root that the journal doesn't have");
        Some(history.root(at))
    });
    assert_eq!(standing, expect, "{sizes:?} {size}");
}

#[test]
fn a_journal_stands_to_what_is_known() {
    let anchored = |through| Standing::Anchored { through };
    let behind = |behind_by, agrees_through: Option<u64>| Standing::RolledBack {
        behind_by,
        true_prefix: agrees_through.is_some(),
        agrees_through,
    };
    let forked = |parted_after, parted_before| Standing::Forked {
        parted_after,
        parted_before,
    };
    check(&[], 7, TRUE, Standing::NotChecked);
    check(&[7], 7, TRUE, anchored(6));
    check(&[4, 7], 9, TRUE, anchored(6));
    check(&[4, 7], 6, TRUE, behind(1, Some(3)));
    check(&[4, 7], 4, TRUE, behind(3, Some(3)));
    check(&[4, 7], 3, TRUE, behind(4, None));
    check(&[4, 7], 0, TRUE, behind(7, None));
    for (parts_at, expect) in [
        (0, forked(None, 4)),
        (3, forked(None, 4)),
        (4, forked(Some(3), 7)),
    ] {
        check(&[4, 7], 9, History { parts_at }, expect);
        check(&[4, 7], 7, History { parts_at }, expect);
    }
    check(&[4, 7], 9, History { parts_at: 7 }, anchored(6));
    // Shorter and changed: a fork, as far as it can be told; past the last known one it can't.
    check(&[4, 7], 6, History { parts_at: 3 }, forked(None, 4));
    check(&[4, 7], 6, History { parts_at: 4 }, behind(1, Some(3)));
}

#[test]
fn a_root_that_is_not_to_be_had_decides_nothing() {
    let known = with(&[4, 7]);
    let only = |sizes: &'static [u64]| move |at| sizes.contains(&at).then(|| TRUE.root(at));
    let undecided = |size| Standing::Undecided { size };
    assert_eq!(Standing::compare(&known, 9, only(&[4])), undecided(7));
    assert_eq!(Standing::compare(&known, 9, only(&[7])), undecided(4));
    assert_eq!(Standing::compare(&known, 5, only(&[])), undecided(4));
    // But a contradiction elsewhere does.
    let forked = History { parts_at: 0 };
    let standing = Standing::compare(&known, 9, |at| (at == 7).then(|| forked.root(at)));
    assert_eq!(
        standing,
        Standing::Forked {
            parted_after: None,
            parted_before: 7
        }
    );
}
