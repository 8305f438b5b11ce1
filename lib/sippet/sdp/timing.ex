defmodule Sippet.SDP.Timing do
  @moduledoc """
  When a session is active: a `t=` line, with the `r=` and `z=` lines behind it (RFC 8866 §5.9 to §5.11).

    * `:start`, `:stop` - seconds since 1900, 0 where there is no bound; both are 0 in SIP (RFC 3264 §5)
    * `:repeats` - a list of `{interval, duration, offsets}`, strings of seconds or with a unit, as in
      `{"7d", "1h", ["0", "25h"]}`
    * `:zone_adjustments` - a list of `{time, offset}`, as in `{3730928400, "-1h"}`
  """

  defstruct start: 0, stop: 0, repeats: [], zone_adjustments: []

  @typedoc "See the module."
  @type t :: %__MODULE__{
          start: non_neg_integer,
          stop: non_neg_integer,
          repeats: [{interval :: String.t(), duration :: String.t(), offsets :: [String.t()]}],
          zone_adjustments: [{time :: non_neg_integer, offset :: String.t()}]
        }
end
