// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <bit/data/name.hpp>

using namespace bit::data;

TEST_CASE("names that are not UTF-8 are escaped, others stay as they are") {
  CHECK(escaped_name("caf\xc3\xa9 1") == "caf\xc3\xa9 1");
  CHECK(escaped_name("caf\xe9") == "caf\\xe9");
  CHECK(escaped_name("a\nb") == "a\\x0ab");
  CHECK(escaped_name("\xf0\x9f\x90\xb1") == "\xf0\x9f\x90\xb1");  // a cat's face, four bytes
  // Too short, overlong, a surrogate, beyond U+10FFFF: no UTF-8.
  for (const char* bad : {"\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80"})
    CHECK(escaped_name(bad).starts_with("\\x"));
}

TEST_CASE("keys are equal for both cases and for composed and decomposed accents") {
  CHECK(name_key("Cat") == name_key("cAT"));
  CHECK(name_key("Caf\xc3\xa9") == name_key("cafe\xcc\x81"));             // é as one and as two code points
  CHECK(name_key("\xc3\x89t\xc3\xa9") == name_key("\xc3\xa9t\xc3\x89"));  // Été and étÉ
  CHECK(name_key("\xd0\x9a\xd0\x9e\xd0\xa2") == name_key("\xd0\xba\xd0\xbe\xd1\x82"));  // Cyrillic
  CHECK(name_key("\xed\x95\x9c") == name_key("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"));  // Hangul
  CHECK(name_key("\xe1\xba\xbf") == name_key("e\xcc\x82\xcc\x81"));                     // Vietnamese, two accents
  CHECK(name_key("cat") != name_key("cats"));
  CHECK(name_key("caf\xc3\xa9") != name_key("cafe"));
  CHECK(name_key("a\xe9") == "a\xe9");
}

TEST_CASE("what systems leave behind is known by name") {
  for (const char* name : {"@eaDir", "__MACOSX", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "lost+found", "1.jpg.part",
                           "photo.jpg~", "~$list.csv", "#recycle", "System Volume Information"})
    CHECK_MESSAGE(is_litter_name(name), name);
  for (const char* name : {"cat", "eaDir", "thumbs", "1.jpg", "recycle", "tmp", "partridge"})
    CHECK_MESSAGE(!is_litter_name(name), name);
}
