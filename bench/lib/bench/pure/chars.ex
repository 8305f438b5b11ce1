defmodule Bench.Pure.Chars do
  # The byte classes of RFC 3261 §25.1 as guards, the most frequent bytes first.
  @moduledoc false

  defguard is_alphanumeric(c) when c in ?a..?z or c in ?0..?9 or c in ?A..?Z

  defguard is_token(c)
           when is_alphanumeric(c) or c in [?-, ?., ?_, ?+, ?!, ?%, ?*, ?`, ?', ?~]

  defguard is_host(c) when is_alphanumeric(c) or c in [?., ?-, ?_]

  # `gen-value` without quotes: a token, or an IPv6 address.
  defguard is_plain(c) when is_token(c) or c in [?:, ?[, ?]]

  # What cannot follow such a value.
  defguard is_loose(c) when (c in 0x21..0x7E or c >= 0x80) and c not in [?;, ?,, ?"]

  defguard is_user(c)
           when is_alphanumeric(c) or
                  c in [?-, ?_, ?., ?!, ?~, ?*, ?', ?(, ?), ?&, ?=, ?+, ?$, ?,, ?;, ??, ?/, ?#]

  # What may stand behind the authority of a URI as it is.
  defguard is_uri(c) when c in 0x21..0x7E and c not in [?%, ?<, ?>, ?"]

  defguard is_visible(c) when c in 0x21..0x7E

  defguard is_hex(c) when c in ?0..?9 or c in ?a..?f or c in ?A..?F

  defguard is_space(c) when c == ?\s or c == ?\t

  # What text may hold: anything but control characters.
  defguard is_text(c) when (c >= 0x20 and c != 0x7F) or c == ?\t

  # Visible, but not in a word of a Call-ID.
  defguard is_odd_id(c) when c in [?#, ?$, ?&, ?,, ?;, ?=, ?^, ?|]
end
