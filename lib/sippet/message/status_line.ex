defmodule Sippet.Message.StatusLine do
  @moduledoc """
  The first line of a response: `SIP/2.0 200 OK` (RFC 3261 §7.2).

    * `:status_code` - 100 to 699
    * `:reason_phrase` - for people; programs look at the status code
    * `:version` - `{2, 0}`
  """

  alias Sippet.WriteError

  defstruct status_code: nil, reason_phrase: nil, version: {2, 0}

  @type status_code :: 100..699

  @type version :: {major :: non_neg_integer, minor :: non_neg_integer}

  @type t :: %__MODULE__{
          status_code: status_code,
          reason_phrase: String.t(),
          version: version
        }

  # The registry of SIP response codes at IANA.
  @default_reasons %{
    100 => "Trying",
    180 => "Ringing",
    181 => "Call Is Being Forwarded",
    182 => "Queued",
    183 => "Session Progress",
    199 => "Early Dialog Terminated",
    200 => "OK",
    202 => "Accepted",
    204 => "No Notification",
    300 => "Multiple Choices",
    301 => "Moved Permanently",
    302 => "Moved Temporarily",
    305 => "Use Proxy",
    380 => "Alternative Service",
    400 => "Bad Request",
    401 => "Unauthorized",
    402 => "Payment Required",
    403 => "Forbidden",
    404 => "Not Found",
    405 => "Method Not Allowed",
    406 => "Not Acceptable",
    407 => "Proxy Authentication Required",
    408 => "Request Timeout",
    410 => "Gone",
    412 => "Conditional Request Failed",
    413 => "Request Entity Too Large",
    414 => "Request-URI Too Long",
    415 => "Unsupported Media Type",
    416 => "Unsupported URI Scheme",
    417 => "Unknown Resource-Priority",
    420 => "Bad Extension",
    421 => "Extension Required",
    422 => "Session Interval Too Small",
    423 => "Interval Too Brief",
    424 => "Bad Location Information",
    425 => "Bad Alert Message",
    428 => "Use Identity Header",
    429 => "Provide Referrer Identity",
    430 => "Flow Failed",
    433 => "Anonymity Disallowed",
    436 => "Bad Identity-Info",
    437 => "Unsupported Certificate",
    438 => "Invalid Identity Header",
    439 => "First Hop Lacks Outbound Support",
    440 => "Max-Breadth Exceeded",
    469 => "Bad Info Package",
    470 => "Consent Needed",
    480 => "Temporarily Unavailable",
    481 => "Call/Transaction Does Not Exist",
    482 => "Loop Detected",
    483 => "Too Many Hops",
    484 => "Address Incomplete",
    485 => "Ambiguous",
    486 => "Busy Here",
    487 => "Request Terminated",
    488 => "Not Acceptable Here",
    489 => "Bad Event",
    491 => "Request Pending",
    493 => "Undecipherable",
    494 => "Security Agreement Required",
    500 => "Server Internal Error",
    501 => "Not Implemented",
    502 => "Bad Gateway",
    503 => "Service Unavailable",
    504 => "Server Time-out",
    505 => "Version Not Supported",
    513 => "Message Too Large",
    555 => "Push Notification Service Not Supported",
    580 => "Precondition Failure",
    600 => "Busy Everywhere",
    603 => "Decline",
    604 => "Does Not Exist Anywhere",
    606 => "Not Acceptable",
    607 => "Unwanted",
    608 => "Rejected"
  }

  @doc """
  Makes a status line of version 2.0 with the phrase that `default_reason/1` knows.

  A code outside of 100 to 699 raises `RuntimeError`, one without a default phrase `ArgumentError`.

      iex> Sippet.Message.StatusLine.new(486).reason_phrase
      "Busy Here"
  """
  @spec new(status_code) :: t
  def new(status_code) when is_integer(status_code) do
    check!(status_code)
    new(status_code, default_reason!(status_code))
  end

  @doc """
  Makes a status line of version 2.0 with a phrase of your own.

  A code outside of 100 to 699 raises `RuntimeError`.

      iex> Sippet.Message.StatusLine.new(486, "At Lunch")
      %Sippet.Message.StatusLine{status_code: 486, reason_phrase: "At Lunch", version: {2, 0}}
  """
  @spec new(status_code, reason_phrase :: String.t()) :: t
  def new(status_code, reason_phrase)
      when is_integer(status_code) and is_binary(reason_phrase) do
    check!(status_code)
    %__MODULE__{status_code: status_code, reason_phrase: reason_phrase}
  end

  defp check!(status_code) when status_code in 100..699, do: :ok

  defp check!(status_code), do: raise("invalid status code, got: #{status_code}")

  @doc """
  The class of a response: 1 for provisional ones, 2 for success, and so on.

      iex> Sippet.Message.StatusLine.status_code_class(Sippet.Message.StatusLine.new(180))
      1
  """
  @spec status_code_class(t) :: 1..6
  def status_code_class(%__MODULE__{status_code: status_code}), do: div(status_code, 100)

  @doc """
  The phrase that the standards give to a status code, or `nil`.

      iex> Sippet.Message.StatusLine.default_reason(404)
      "Not Found"
      iex> Sippet.Message.StatusLine.default_reason(499)
      nil
  """
  @spec default_reason(integer) :: String.t() | nil
  def default_reason(status_code), do: Map.get(@default_reasons, status_code)

  @doc """
  The phrase that the standards give to a status code; raises `ArgumentError` where there is none.

      iex> Sippet.Message.StatusLine.default_reason!(180)
      "Ringing"
  """
  @spec default_reason!(integer) :: String.t()
  def default_reason!(status_code) do
    default_reason(status_code) ||
      raise ArgumentError,
            "status code #{inspect(status_code)} does not have a default reason phrase"
  end

  @doc """
  The line as text, without its line end.

      iex> Sippet.Message.StatusLine.to_string(Sippet.Message.StatusLine.new(180))
      "SIP/2.0 180 Ringing"
  """
  @spec to_string(t) :: String.t()
  def to_string(%__MODULE__{} = line), do: line |> to_iodata() |> IO.iodata_to_binary()

  @doc """
  The line as iodata, without its line end.

  Raises `ArgumentError` where the reason phrase holds CR, LF or NUL.

      iex> Sippet.Message.StatusLine.to_iodata(Sippet.Message.StatusLine.new(200))
      ["SIP/", "2", ".", "0", " ", "200", " ", "OK"]
  """
  @spec to_iodata(t) :: iodata
  def to_iodata(%__MODULE__{version: {major, minor}} = line) do
    check_phrase!(line.reason_phrase)

    [
      "SIP/",
      Integer.to_string(major),
      ".",
      Integer.to_string(minor),
      " ",
      Integer.to_string(line.status_code),
      " ",
      line.reason_phrase
    ]
  end

  defp check_phrase!(phrase) do
    if :binary.match(phrase, ["\r", "\n", "\0"]) != :nomatch do
      error = %WriteError{header: :start_line, reason: :control_character}
      raise ArgumentError, Exception.message(error)
    end
  end
end

defimpl String.Chars, for: Sippet.Message.StatusLine do
  defdelegate to_string(line), to: Sippet.Message.StatusLine
end
