defmodule Sippet.WriteError do
  @moduledoc """
  A message or a URI that cannot be written.

    * `:header` - the field that stands in the way: a key of the header map, atom or string, `:start_line`, `:body`, or nil
      where it is no part in particular or a URI alone
    * `:reason` - what is wrong, a `t:reason/0`

      iex> Exception.message(%Sippet.WriteError{header: :subject, reason: :control_character})
      "cannot write :subject: there is a CR, LF or NUL in the value"
  """

  # The reasons of the writer (`sippet_proto::WriteReason`) and of what turns terms into messages, each with its sentence.
  @reasons [
    control_character: "there is a CR, LF or NUL in the value",
    empty: "the value, or a part of it, is empty",
    token: "a part of the value is not a token",
    white_space: "the value begins or ends with white space",
    uri: "a URI is malformed, or has no scheme, or neither host nor authority",
    host: "the host is malformed",
    number: "a number is out of bounds",
    date: "the date is not in the calendar",
    missing_parameter: "a mandatory parameter is missing",
    syntax: "the value is malformed",
    invalid_term: "the value has not the documented shape",
    unknown_header:
      "no header field has this atom as key; fields that are not documented have a string",
    unknown_method: "the method is an atom that names none; give any other as a string",
    unknown_protocol: "the protocol is an atom that names none; give any other as a string"
  ]

  @typedoc """
  What is wrong:

  #{Enum.map_join(@reasons, "\n", fn {reason, text} -> "  * `#{inspect(reason)}` - #{text}" end)}
  """
  @type reason ::
          unquote(
            @reasons
            |> Keyword.keys()
            |> Enum.reduce(&quote(do: unquote(&1) | unquote(&2)))
          )

  @typedoc "See the module."
  @type t :: %__MODULE__{header: atom | String.t() | nil, reason: reason}

  defexception [:header, :reason]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc "The error as a sentence."
  @impl true
  def message(%__MODULE__{header: nil, reason: reason}), do: sentence(reason)

  def message(%__MODULE__{header: header, reason: reason}),
    do: "cannot write #{inspect(header)}: #{sentence(reason)}"

  defp sentence(reason), do: Keyword.get(@reasons, reason, "#{reason}")
end
