defmodule Sippet.ProxyErrorTest do
  use ExUnit.Case, async: true

  alias Sippet.ProxyError

  test "each reason has the status code that its section gives it, and a sentence" do
    for {reason, status_code} <- [
          malformed: 400,
          not_found: 404,
          unsupported_scheme: 416,
          bad_extension: 420,
          max_breadth_exceeded: 440,
          unavailable: 480,
          loop: 482,
          too_many_hops: 483,
          no_via: nil
        ] do
      error = ProxyError.new(reason, header: :from, values: ["foo"])
      assert error.status_code == status_code
      assert Exception.message(error) =~ ~r/\A[a-zA-Z].{10,}/
      if status_code, do: assert(Sippet.Message.StatusLine.default_reason(status_code))
    end
  end
end
