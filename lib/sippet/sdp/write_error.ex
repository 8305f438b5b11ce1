defmodule Sippet.SDP.WriteError do
  @moduledoc """
  A session description that cannot be written.

    * `:field` - the field that stands in the way, as a path: `[:origin]`, `[:media, 1, :attributes, 0]`
    * `:reason` - what is wrong, a `t:reason/0`

      iex> Exception.message(%Sippet.SDP.WriteError{field: [:session_name], reason: :control_character})
      "cannot write [:session_name]: there is a CR, LF or NUL in the value"
  """

  # The reasons of the writer (`sippet_proto::sdp::WriteReason`) and of what turns terms into descriptions.
  @reasons [
    control_character: "there is a CR, LF or NUL in the value",
    empty: "the value, or a part of it, is empty",
    white_space: "there is a space where none belongs",
    number: "a number is out of bounds",
    syntax: "the value is malformed",
    typed: "the attribute has a typed form: give it under its atom",
    unknown_line: "the line would not be read back as an unknown one",
    invalid_term: "the value has not the documented shape"
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
  @type t :: %__MODULE__{field: [atom | non_neg_integer], reason: reason}

  defexception [:field, :reason]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc "The error as a sentence."
  @impl true
  def message(%__MODULE__{field: field, reason: reason}),
    do: "cannot write #{inspect(field)}: #{Keyword.get(@reasons, reason, reason)}"
end
