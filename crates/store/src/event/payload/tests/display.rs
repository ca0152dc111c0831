use factlog_format::Encoding;

use super::super::to_display_json;

fn check(encoding: Encoding, bytes: &[u8], expect: &str) {
    let shown = to_display_json(encoding, bytes);
    assert_eq!(shown.as_deref(), Some(expect), "{bytes:02x?}");
}

fn refused(encoding: Encoding, bytes: &[u8]) {
    assert_eq!(to_display_json(encoding, bytes), None, "{bytes:02x?}");
}

#[test]
fn json_is_shown_on_one_line_and_otherwise_as_it_is() {
    let json = |text: &str, expect| check(Encoding::Json, text.as_bytes(), expect);
    json(
        " { \"b\" : [ 1 , 1.50 ,\n\t1e5, 123456789012345678901234567890 ] , \"a\" : null }\r\n",
        r#"{"b":[1,1.50,1e5,123456789012345678901234567890],"a":null}"#,
    );
    json(r#""a \" b \\ c\u0041 ""#, r#""a \" b \\ c\u0041 ""#);
    json("\"\\\\\" ", "\"\\\\\"");
    json(
        "\"\u{9b}31m\u{202e}\u{7f}é\"",
        r#""\u009b31m\u202e\u007fé""#,
    );
}

#[test]
fn what_is_not_json_is_not_shown_as_json() {
    for text in [
        "",
        "{",
        "[1,]",
        "1 2",
        "NaN",
        "1e999",
        "'a'",
        "\"a\nb\"",
        r#""\ud800""#,
        "nul",
    ] {
        refused(Encoding::Json, text.as_bytes());
    }
    refused(Encoding::Json, b"\"\xff\"");
    refused(Encoding::Json, "[".repeat(200).as_bytes());
    for encoding in [Encoding::Raw, Encoding::Journal] {
        refused(encoding, b"{}");
    }
}

#[test]
fn message_pack_is_shown_as_json() {
    for (bytes, expect) in [
        (&b"\xc0"[..], "null"),
        (b"\xc2", "false"),
        (b"\xc3", "true"),
        (b"\x7f", "127"),
        (b"\xe0", "-32"),
        (b"\xff", "-1"),
        (b"\xcc\xff", "255"),
        (b"\xcd\x01\x00", "256"),
        (b"\xce\x00\x00\x00\x01", "1"),
        (
            b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            "18446744073709551615",
        ),
        (b"\xd0\x80", "-128"),
        (b"\xd1\xff\xfe", "-2"),
        (b"\xd2\x80\x00\x00\x00", "-2147483648"),
        (
            b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
            "-9223372036854775808",
        ),
        (b"\xca\x3d\xcc\xcc\xcd", "0.1"),
        (
            b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
            r#"{"$float":"NaN"}"#,
        ),
        (b"\xca\xff\x80\x00\x00", r#"{"$float":"-inf"}"#),
        (b"\xa3a\"\x1b", r#""a\"\u001b""#),
        (b"\xd9\x01b", r#""b""#),
        (b"\xda\x00\x01c", r#""c""#),
        (b"\xdb\x00\x00\x00\x01d", r#""d""#),
        (b"\xa1\xff", r#"{"$bytes":"/w=="}"#),
        (b"\xc4\x02\x01\x02", r#"{"$bytes":"AQI="}"#),
        (b"\xc5\x00\x00", r#"{"$bytes":""}"#),
        (b"\xd4\x05\x01", r#"{"$ext":5,"$bytes":"AQ=="}"#),
        (b"\xc7\x00\xff", r#"{"$ext":-1,"$bytes":""}"#),
        (b"\x92\x01\x90", "[1,[]]"),
        (b"\xdc\x00\x01\x01", "[1]"),
        (b"\xdd\x00\x00\x00\x01\x01", "[1]"),
        (b"\x82\xa1a\x01\xa1b\x80", r#"{"a":1,"b":{}}"#),
        (b"\xde\x00\x01\x05\x01", r#"{"5":1}"#),
        (
            b"\x82\xc0\x01\x92\x01\xa1x\x02",
            r#"{"null":1,"[1,\"x\"]":2}"#,
        ),
        (b"\x81\x81\x01\x02\x03", r#"{"{\"1\":2}":3}"#),
    ] {
        check(Encoding::MessagePack, bytes, expect);
    }
    for bytes in [
        &b""[..],
        b"\xc1",
        b"\x01\x01",
        b"\x91",
        b"\xa2a",
        b"\xc4\x05a",
        b"\x81\x01",
        b"\xdf",
    ] {
        refused(Encoding::MessagePack, bytes);
    }
}

/// Taken from RFC 8949, appendix A.
#[test]
fn cbor_is_shown_as_json() {
    for (bytes, expect) in [
        (&b"\x00"[..], "0"),
        (b"\x18\x64", "100"),
        (
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
            "18446744073709551615",
        ),
        (
            b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00",
            "18446744073709551616",
        ),
        (
            b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
            "-18446744073709551616",
        ),
        (
            b"\xc3\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00",
            "-18446744073709551617",
        ),
        (b"\x38\x63", "-100"),
        (b"\xf9\x80\x00", "-0.0"),
        (b"\xf9\x3e\x00", "1.5"),
        (b"\xf9\x7b\xff", "65504.0"),
        (b"\xf9\x00\x01", "5.960464477539063e-8"),
        (b"\xf9\x04\x00", "0.00006103515625"),
        (b"\xfa\x47\xc3\x50\x00", "100000.0"),
        (b"\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a", "1.1"),
        (b"\xf9\x7c\x00", r#"{"$float":"inf"}"#),
        (b"\xf9\x7e\x00", r#"{"$float":"NaN"}"#),
        (b"\xfa\xff\x80\x00\x00", r#"{"$float":"-inf"}"#),
        (b"\xf4", "false"),
        (b"\xf5", "true"),
        (b"\xf6", "null"),
        (b"\xf7", r#"{"$simple":23}"#),
        (b"\xf0", r#"{"$simple":16}"#),
        (b"\xf8\xff", r#"{"$simple":255}"#),
        (
            b"\xc1\x1a\x51\x4b\x67\xb0",
            r#"{"$tag":1,"value":1363896240}"#,
        ),
        (b"\x44\x01\x02\x03\x04", r#"{"$bytes":"AQIDBA=="}"#),
        (b"\x62\x22\x5c", r#""\"\\""#),
        (b"\x83\x01\x82\x02\x03\x82\x04\x05", "[1,[2,3],[4,5]]"),
        (b"\xa2\x01\x02\x03\x04", r#"{"1":2,"3":4}"#),
        (b"\xa2\x61a\x01\x61b\x82\x02\x03", r#"{"a":1,"b":[2,3]}"#),
        (
            b"\x5f\x42\x01\x02\x43\x03\x04\x05\xff",
            r#"{"$bytes":"AQIDBAU="}"#,
        ),
        (b"\x7f\x65strea\x64ming\xff", r#""streaming""#),
        (
            b"\x9f\x01\x82\x02\x03\x9f\x04\x05\xff\xff",
            "[1,[2,3],[4,5]]",
        ),
        (b"\xbf\x61a\x01\xff", r#"{"a":1}"#),
        (b"\xa1\x7f\x61a\xff\x01", r#"{"a":1}"#),
    ] {
        check(Encoding::Cbor, bytes, expect);
    }
    for bytes in [
        &b""[..],
        b"\x1c",
        b"\xff",
        b"\x81",
        b"\x18",
        b"\xf8\x18",
        b"\x00\x00",
        b"\x61\xff",
        b"\x1f",
        b"\xdf",
        b"\x5f\x61a\xff",
        b"\x5f\x41a",
        b"\x7f\x5f\x41a\xff\xff",
        b"\xbf\x61a\xff",
        b"\xfc",
    ] {
        refused(Encoding::Cbor, bytes);
    }
}

/// Text in text in text: backslashes double with every level, so levels are few.
#[test]
fn keys_in_keys_are_bounded() {
    let nested = |levels: usize| [vec![0xa1; levels], vec![0x01], vec![0x02; levels]].concat();
    check(Encoding::Cbor, &nested(2), r#"{"{\"1\":2}":2}"#);
    assert!(to_display_json(Encoding::Cbor, &nested(3)).is_some());
    refused(Encoding::Cbor, &nested(5));
}

#[test]
fn depth_is_bounded() {
    for (encoding, list, end) in [(Encoding::Cbor, 0x81, 0), (Encoding::MessagePack, 0x91, 0)] {
        let nested = |levels| [vec![list; levels], vec![end]].concat();
        let expect = format!("{}0{}", "[".repeat(100), "]".repeat(100));
        check(encoding, &nested(100), &expect);
        refused(encoding, &nested(101));
    }
}
