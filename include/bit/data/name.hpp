// SPDX-License-Identifier: Apache-2.0
// Names of files and folders as text: escaped where they are not UTF-8, compared without regard to case and to how
// accents are composed, and known where a system leaves them behind.
#pragma once

#include <string>
#include <string_view>

#include <bit/config.hpp>

namespace bit::inline BIT_ABI::data {

namespace detail {
/// The letter in lower case, and any other byte as it is; unlike std::tolower for every locale.
constexpr char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
}  // namespace detail

/// The name as UTF-8 text: bytes that are not UTF-8 become `\xe9`, and control characters `\x0a`. A file system's name may
/// hold any bytes, while labels, checkpoints and JSON hold text. Thread-safe.
BIT_FUNC std::string escaped_name(std::string_view name);

/// Two names have equal keys if they differ only in case or in whether accents are part of a letter or follow it (macOS
/// writes "é" as two code points where other systems write one). Letters up to U+1FFF, kana and Hangul are folded; of all
/// others and of bytes that are not UTF-8 the key is the name itself. Thread-safe.
BIT_FUNC std::string name_key(std::string_view name);

/// True for names that begin with a dot: hidden files and folders, macOS's "._" companions among them. Thread-safe.
inline bool is_hidden_name(std::string_view name) { return name.starts_with('.'); }

/// True for what systems leave behind beside a user's files: thumbnails and recycle bins of network storage (@eaDir,
/// #recycle), archives' and desktops' extras (__MACOSX, Thumbs.db, desktop.ini), checkpoints of notebooks, backup copies
/// (a trailing "~") and downloads that were not finished (.part, .crdownload). Hidden names are not asked here. Thread-safe.
BIT_FUNC bool is_litter_name(std::string_view name);

}  // namespace bit::inline BIT_ABI::data

#if BIT_HEADER_ONLY
#include <bit/data/name.ipp>
#endif
